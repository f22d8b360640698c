#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeded faults and harmless changes of a base, its adapter and its golden suite.

CASES is the table: how a case is made, the exit status it must end with, the checks that must have
failed in the report (or what the error must say). faults_live.py runs it.
"""

import dataclasses
import json
import pathlib
import shutil
import struct

import torch
from fault_support import (
    ADAPTER,
    FAIL,
    INCONCLUSIVE,
    INPUT,
    PASS,
    PREFIX,
    USAGE,
    Case,
    case_adder,
    change_one,
    copy_adapter,
    copy_base,
    copy_golden,
    edit_tokenizer,
    hostile,
    layer_count,
    merged_base,
    noisy,
    renamed,
    set_first,
    some,
    with_header,
)
from live_support import fresh_folder, read_json, write_json
from safetensors.torch import load_file
from zoo_layouts import cache, config4, sharded

CASES: list[Case] = []
case = case_adder(CASES)


# ---- the adapter's tensors ----


@case("zero-b-everywhere", FAIL, ["effect.zero_adapter"])
def _(inputs, folder):
    return copy_adapter(
        inputs, folder, lambda t: {k: v * 0 if "lora_B" in k else v for k, v in t.items()}
    )


@case("zero-b-in-one-module", FAIL, ["effect.zero_module"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, lambda t: change_one(t, "lora_B", lambda b: b * 0))


@case("zero-alpha", FAIL, any_of=["effect.zero_adapter", "effect.zero_module"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, config={"lora_alpha": 0})


@case("layer-index-off-by-one", FAIL, ["landing.unused_tensor", "landing.missing_target"])
def _(inputs, folder):
    last = layer_count(inputs) - 1
    return copy_adapter(
        inputs,
        folder,
        lambda t: renamed(t, lambda name: name.replace(f".layers.{last}.", f".layers.{last + 1}.")),
    )


@case("prefix-missing", FAIL, ["landing.unused_tensor"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, lambda t: renamed(t, lambda name: name.removeprefix(PREFIX)))


@case("prefix-twice", FAIL, ["landing.unused_tensor"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, lambda t: renamed(t, lambda name: PREFIX + name))


@case("half-the-layers", FAIL, ["landing.missing_target"])
def _(inputs, folder):
    dropped = [f".layers.{i}." for i in range(layer_count(inputs) // 2, layer_count(inputs))]
    return copy_adapter(
        inputs, folder, lambda t: {k: v for k, v in t.items() if not any(d in k for d in dropped)}
    )


@case("transposed", FAIL, ["landing.shape"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, lambda t: {k: v.T.contiguous() for k, v in t.items()})


@case("a-and-b-exchanged", FAIL, ["landing.shape"])
def _(inputs, folder):
    exchange = {"lora_A": "lora_B", "lora_B": "lora_A"}
    return copy_adapter(
        inputs,
        folder,
        lambda t: renamed(t, lambda name: next(name.replace(a, b) for a, b in exchange.items() if a in name)),
    )


@case("nan", FAIL, ["landing.non_finite"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, lambda t: change_one(t, "lora_A", set_first(float("nan"))))


@case("infinite", FAIL, ["landing.non_finite"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, lambda t: change_one(t, "lora_B", set_first(float("inf"))))


@case("rank-in-config-doubled", FAIL, ["landing.rank"])
def _(inputs, folder):
    r = read_json(inputs.adapter / "adapter_config.json")["r"]
    return copy_adapter(inputs, folder, config={"r": 2 * r})


@case("a-without-b", FAIL, ["landing.half_pair"])
def _(inputs, folder):
    return copy_adapter(
        inputs, folder, lambda t: {k: v for k, v in t.items() if k != some(t, "lora_B")}
    )


@case("same-target-twice", FAIL, any_of=["landing.duplicate_target", "landing.unused_tensor"])
def _(inputs, folder):
    def double(tensors):
        name = some(tensors, "lora_A")
        return {**tensors, name.replace("lora_A.weight", "lora_A.default.weight"): tensors[name] * 2}

    return copy_adapter(inputs, folder, double)


@case("other-models-adapter", FAIL, ["landing.shape"])
def _(inputs, folder):
    def wider(tensors):
        return {k: torch.nn.functional.pad(v, (0, 8)) if "lora_A" in k else v for k, v in tensors.items()}

    return copy_adapter(inputs, folder, wider)


@case("stray-tensor", FAIL, ["landing.unused_tensor"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, lambda t: {**t, f"{PREFIX}model.extra.weight": torch.ones(4)})


# ---- the adapter's configuration ----


@case("rslora-flag-wrong", FAIL, ["identity.adapter"], any_of=["golden.kl_prompt", "golden.kl_answer"])
def _(inputs, folder):
    flag = read_json(inputs.adapter / "adapter_config.json").get("use_rslora", False)
    return copy_adapter(inputs, folder, config={"use_rslora": not flag})


@case("alpha-doubled", FAIL, ["identity.adapter"], any_of=["golden.kl_prompt", "golden.kl_answer"])
def _(inputs, folder):
    alpha = read_json(inputs.adapter / "adapter_config.json")["lora_alpha"]
    return copy_adapter(inputs, folder, config={"lora_alpha": 2 * alpha})


@case("alpha-times-100", FAIL, ["identity.adapter"], any_of=["effect.scale=warn", "effect.scale=fail"])
def _(inputs, folder):
    alpha = read_json(inputs.adapter / "adapter_config.json")["lora_alpha"]
    return copy_adapter(inputs, folder, config={"lora_alpha": 100 * alpha})


@case("target-not-in-the-file", FAIL, ["landing.missing_target"])
def _(inputs, folder):
    config = read_json(inputs.adapter / "adapter_config.json")
    free = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"}
    added = sorted(free - set(config["target_modules"]))[0]
    return copy_adapter(inputs, folder, config={"target_modules": [*config["target_modules"], added]})


@case("other-peft-method", INPUT, says="peft_type|IA3")
def _(inputs, folder):
    return copy_adapter(inputs, folder, config={"peft_type": "IA3"})


@case("unsupported-adapter-field", INPUT, says="use_qalora")
def _(inputs, folder):
    return copy_adapter(inputs, folder, config={"use_qalora": True})


# ---- the base ----


@case("already-merged", FAIL, ["effect.already_merged"])
def _(inputs, folder):
    return dataclasses.replace(inputs, base=merged_base(inputs, folder))


@case("norm-changed", FAIL, ["identity.base"], any_of=["golden.kl_prompt", "golden.embedding_cosine"])
def _(inputs, folder):
    return copy_base(inputs, folder, lambda t: change_one(t, "layernorm", lambda w: w * 1.5))


@case("final-norm-changed", FAIL, ["identity.base"], any_of=["golden.kl_prompt", "golden.kl_answer"])
def _(inputs, folder):
    return copy_base(inputs, folder, lambda t: change_one(t, "model.norm", lambda w: w * 1.3))


@case("rope-theta-changed", FAIL, finds=["identity.base"], any_of=["golden.kl_prompt", "golden.embedding_cosine"])
def _(inputs, folder):
    config = read_json(pathlib.Path(inputs.base) / "config.json")
    if config.get("rope_parameters"):
        rope = config["rope_parameters"]
        return copy_base(inputs, folder, config={"rope_parameters": {**rope, "rope_theta": 7 * rope["rope_theta"]}})
    return copy_base(inputs, folder, config={"rope_theta": 7 * config.get("rope_theta", 10000.0)})


@case("embedding-changed", FAIL, ["identity.base"], any_of=["golden.kl_prompt", "golden.embedding_cosine"])
def _(inputs, folder):
    return copy_base(
        inputs, folder, lambda t: change_one(t, "embed_tokens", lambda w: noisy(w, 0.2, "embedding"))
    )


@case("layers-exchanged", FAIL, ["identity.base"], any_of=["golden.kl_prompt", "golden.text"])
def _(inputs, folder):
    def exchange(name):
        other = {".layers.0.": ".layers.1.", ".layers.1.": ".layers.0."}
        return next((name.replace(a, b) for a, b in other.items() if a in name), name)

    return copy_base(inputs, folder, lambda t: renamed(t, exchange))


@case("one-bit-of-the-base", FAIL, ["identity.base"])
def _(inputs, folder):
    changed = copy_base(inputs, folder)
    path = changed.base / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1001] ^= 1
    path.write_bytes(data)
    return changed


@case("nan-in-the-base", FAIL, ["identity.base"])
def _(inputs, folder):
    return copy_base(inputs, folder, lambda t: change_one(t, "up_proj", set_first(float("nan"))))


# ---- tokenizer and chat template ----


@case("tokenizer-merge-removed", FAIL, ["identity.tokenizer"])
def _(inputs, folder):
    return edit_tokenizer(inputs, folder, lambda t: t["model"]["merges"].pop())


@case("tokenizer-merges-exchanged", FAIL, ["identity.tokenizer"])
def _(inputs, folder):
    def exchange(tokenizer):
        merges = tokenizer["model"]["merges"]
        merges[0], merges[1] = merges[1], merges[0]

    return edit_tokenizer(inputs, folder, exchange)


@case("added-token-renamed", FAIL, ["identity.tokenizer"])
def _(inputs, folder):
    def rename(tokenizer):
        token = tokenizer["added_tokens"][-1]
        token["content"] = token["content"].replace("<|", "<|was_") + "x"
        tokenizer["model"]["vocab"] = {
            (token["content"] if index == token["id"] else word): index
            for word, index in tokenizer["model"]["vocab"].items()
        }

    return edit_tokenizer(inputs, folder, rename)


@case("template-edited", FAIL, ["identity.template"])
def _(inputs, folder):
    changed = copy_base(inputs, folder)
    jinja = changed.base / "chat_template.jinja"
    if jinja.exists():
        jinja.write_text(jinja.read_text(encoding="utf-8").replace("\n", "\n\n", 1) + " ", encoding="utf-8")
        return changed
    path = changed.base / "tokenizer_config.json"
    config = read_json(path)
    write_json(path, {**config, "chat_template": config["chat_template"] + " "})
    return changed


# ---- files that can't be read ----


@case("adapter-truncated", INPUT, says="truncat|short|size|bytes")
def _(inputs, folder):
    changed = copy_adapter(inputs, folder)
    path = changed.adapter / ADAPTER
    path.write_bytes(path.read_bytes()[:-100])
    return changed


@case("adapter-empty", INPUT, says=r"adapter_model\.safetensors")
def _(inputs, folder):
    changed = copy_adapter(inputs, folder)
    (changed.adapter / ADAPTER).write_bytes(b"")
    return changed


@case("header-longer-than-the-file", INPUT, says="header")
def _(inputs, folder):
    return hostile(inputs, folder, lambda _, text, data: struct.pack("<Q", 2**63) + text + data)


@case("header-not-json", INPUT, says="header|JSON")
def _(inputs, folder):
    return hostile(inputs, folder, lambda _, text, data: struct.pack("<Q", len(text)) + b"[" * len(text) + data)


@case("offsets-overlap", INPUT, says="overlap|contiguous|offset")
def _(inputs, folder):
    def change(header, _, data):
        first, second = [name for name in header if name != "__metadata__"][:2]
        size = header[second]["data_offsets"][1] - header[second]["data_offsets"][0]
        begin = header[first]["data_offsets"][0]
        header[second]["data_offsets"] = [begin, begin + size]
        return with_header(header, data)

    return hostile(inputs, folder, change)


@case("shape-overflows", INPUT, says="overflow|shape|size")
def _(inputs, folder):
    def change(header, _, data):
        name = next(name for name in header if name != "__metadata__")
        header[name]["shape"] = [2**62, 2**62]
        return with_header(header, data)

    return hostile(inputs, folder, change)


@case("adapter-is-pickle", INPUT, says="pickle")
def _(inputs, folder):
    changed = copy_adapter(inputs, folder)
    torch.save(load_file(changed.adapter / ADAPTER), changed.adapter / "adapter_model.bin")
    (changed.adapter / ADAPTER).unlink()
    return changed


@case("base-truncated", INPUT, says="truncat|short|size|bytes")
def _(inputs, folder):
    changed = copy_base(inputs, folder)
    path = changed.base / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return changed


@case("base-lacks-a-tensor", INPUT, says="layers.*down_proj")
def _(inputs, folder):
    return copy_base(
        inputs, folder, lambda t: {k: v for k, v in t.items() if k != some(t, "down_proj")}
    )


@case("base-shard-missing", INPUT, says="model-0000")
def _(inputs, folder):
    base = sharded(inputs.base, fresh_folder(folder / "sharded"))
    sorted(base.glob("model-*.safetensors"))[1].unlink()
    return dataclasses.replace(inputs, base=base)


@case("base-not-there", INPUT, says="no-such-base")
def _(inputs, folder):
    return dataclasses.replace(inputs, base=folder / "no-such-base")


@case("adapter-not-there", INPUT, says="no-such-adapter")
def _(inputs, folder):
    return dataclasses.replace(inputs, adapter=folder / "no-such-adapter")


@case("hidden-act-gelu", INPUT, says="hidden_act")
def _(inputs, folder):
    return copy_base(inputs, folder, config={"hidden_act": "gelu"})


@case("quantised-base", INPUT, says="quantization_config")
def _(inputs, folder):
    return copy_base(inputs, folder, config={"quantization_config": {"quant_method": "gptq"}})


@case("unknown-architecture", INPUT, says="mamba")
def _(inputs, folder):
    return copy_base(inputs, folder, config={"model_type": "mamba"})


@case("unknown-tokenizer-part", INPUT, says="Quokka")
def _(inputs, folder):
    return edit_tokenizer(inputs, folder, lambda t: t.update(normalizer={"type": "Quokka"}))


# ---- the suite, the command line ----


@case("prompts-malformed", INPUT, says=r"prompts\.jsonl")
def _(inputs, folder):
    changed = copy_golden(inputs, folder)
    with (changed.golden / "prompts.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "broken", "prompt": \n')
    return changed


@case("reference-damaged", INPUT, says=r"reference\.safetensors")
def _(inputs, folder):
    changed = copy_golden(inputs, folder)
    path = next(changed.golden.glob("references/*/reference.safetensors"))
    path.write_bytes(path.read_bytes()[:-64])
    return changed


@case("reference-missing", INPUT, says="--record")
def _(inputs, folder):
    changed = copy_golden(inputs, folder)
    shutil.rmtree(changed.golden / "references")
    return changed


@case("too-few-prompts", INCONCLUSIVE, ["golden.prompts=inconclusive"])
def _(inputs, folder):
    return dataclasses.replace(inputs, words=("--set", "golden.min_prompts=1000"))


@case("unknown-option", USAGE)
def _(inputs, folder):
    return dataclasses.replace(inputs, words=("--no-such-option",))


@case("unknown-policy-key", USAGE)
def _(inputs, folder):
    return dataclasses.replace(inputs, words=("--set", "golden.kl_promt.max=1"))


# ---- harmless ----


@case("as-is", PASS)
def _(inputs, folder):
    return inputs


@case("fp32", PASS)
def _(inputs, folder):
    return dataclasses.replace(inputs, words=("--compute", "fp32"))


@case("two-threads", PASS)
def _(inputs, folder):
    return dataclasses.replace(inputs, words=("--threads", "2"))


@case("streamed", PASS)
def _(inputs, folder):
    return dataclasses.replace(inputs, words=("--memory", "1MB"))


@case("base-sharded-again", PASS)
def _(inputs, folder):
    return dataclasses.replace(inputs, base=sharded(inputs.base, fresh_folder(folder / "sharded")))


@case("config-of-transformers-4", PASS)
def _(inputs, folder):
    return dataclasses.replace(inputs, base=config4(inputs.base, fresh_folder(folder / "base")))


@case("cache-snapshot", PASS)
def _(inputs, folder):
    return dataclasses.replace(inputs, base=cache(inputs.base, fresh_folder(folder / "hub")))


@case("cache-by-name", PASS)
def _(inputs, folder):
    cache(inputs.base, fresh_folder(folder / "hub"))
    return dataclasses.replace(
        inputs, base="loraproof/zoo", environment={"HF_HUB_CACHE": str(folder / "hub")}
    )


@case("adapter-saved-again", PASS)
def _(inputs, folder):
    changed = copy_adapter(inputs, folder)
    path = changed.adapter / ADAPTER
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    # Other order in the file, other metadata, the same tensors.
    body, again = b"", {"__metadata__": {"format": "pt", "saved": "again"}}
    for name in sorted(header, reverse=True):
        begin, end = header[name]["data_offsets"]
        again[name] = {**header[name], "data_offsets": [len(body), len(body) + end - begin]}
        body += data[8 + length + begin : 8 + length + end]
    path.write_bytes(with_header(again, body))
    config = read_json(changed.adapter / "adapter_config.json")
    config["base_model_name_or_path"] = "somewhere/else"
    write_json(changed.adapter / "adapter_config.json", dict(reversed(list(config.items()))))
    return changed


@case("merged-without-adapter", PASS, ["identity.base=skipped", "identity.adapter=skipped"])
def _(inputs, folder):
    return dataclasses.replace(inputs, base=merged_base(inputs, folder), adapter=None)


@case("base-change-accepted", PASS, ["identity.base=warn"])
def _(inputs, folder):
    changed = copy_base(inputs, folder)
    path = changed.base / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1001] ^= 1
    path.write_bytes(data)
    return dataclasses.replace(changed, words=("--set", "identity.base.severity=warn"))
