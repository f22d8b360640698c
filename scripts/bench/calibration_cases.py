#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The faults and harmless changes that calibrate_validate.py tries on SmolLM2-135M-Instruct.

FAULTS takes over those of tests/live/fault_cases.py that fit a real model and adds what needs one:
quantised bases, other adapters of the same shape, small changes of weights. CLEAN are changes that
must not be found, REPORTED are those for which neither answer is wrong, and LAYOUTS are the folders
that the healthy re-runs combine with WAYS.
"""

import dataclasses
import hashlib
import json
import pathlib
import sys
import warnings

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "live"))

import torch  # noqa: E402
from fault_cases import CASES  # noqa: E402
from fault_support import (  # noqa: E402
    FAIL,
    INPUT,
    PASS,
    case_adder,
    copy_adapter,
    copy_base,
    copy_golden,
    layer_count,
    merged_base,
    renamed,
)
from live_support import (  # noqa: E402
    fresh_folder,
    generator,
    read_json,
    write_json,
)
from safetensors.torch import load_file, save_file  # noqa: E402
from zoo_layouts import sharded  # noqa: E402

REVISIONS = REPOSITORY / "tests" / "fixtures" / "smollm2"
BEHAVIOUR = (
    "golden.text",
    "golden.token_agreement",
    "golden.expected",
    "golden.nll",
    "golden.kl_prompt",
    "golden.kl_answer",
    "golden.embedding_cosine",
    "golden.embedding_cosine_min",
    "golden.embedding_mean",
    "golden.embedding_answer",
    "golden.embedding_l2",
)
IDENTITY = ("identity.base", "identity.adapter", "identity.tokenizer", "identity.template")

# Of tests/live/fault_cases.py: those that need no folder of the demo.
SHARED_FAULTS = [
    "zero-b-everywhere", "zero-b-in-one-module", "zero-alpha", "layer-index-off-by-one",
    "prefix-missing", "half-the-layers", "transposed", "a-and-b-exchanged", "nan", "infinite",
    "rank-in-config-doubled", "a-without-b", "other-models-adapter", "stray-tensor",
    "target-not-in-the-file", "adapter-truncated", "header-longer-than-the-file", "header-not-json",
    "offsets-overlap", "shape-overflows", "adapter-is-pickle", "base-truncated", "base-lacks-a-tensor",
    "tokenizer-merge-removed", "tokenizer-merges-exchanged", "added-token-renamed", "template-edited",
    "already-merged", "one-bit-of-the-base", "nan-in-the-base", "rslora-flag-wrong", "alpha-doubled",
    "norm-changed", "final-norm-changed", "rope-theta-changed", "embedding-changed",
    "layers-exchanged",
]  # fmt: skip
SHARED_CLEAN = [
    "as-is", "adapter-saved-again", "config-of-transformers-4", "cache-snapshot", "cache-by-name",
    "merged-without-adapter", "two-threads", "streamed",
]  # fmt: skip
# What behaviour must find without any identity check.
BY_BEHAVIOUR = [
    "rslora-flag-wrong", "alpha-doubled", "alpha-halved", "norm-changed", "final-norm-changed",
    "rope-theta-changed", "embedding-changed", "special-tokens-reset", "layers-exchanged",
    "base-nf4", "base-int4", "base-noise-5-percent", "last-layer-missing", "layers-shifted",
    "gate-and-up-exchanged", "adapter-of-another-seed", "adapter-of-a-tenth",
]  # fmt: skip


def shared(names):
    by_name = {case.name: case for case in CASES}
    return [by_name[name] for name in names]


FAULTS = shared(SHARED_FAULTS)
CLEAN = shared(SHARED_CLEAN)
REPORTED = []
fault, clean, reported = case_adder(FAULTS), case_adder(CLEAN), case_adder(REPORTED)


# ---- quantised and disturbed bases ----

NF4 = torch.tensor(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
        0.7229568362236023, 1.0,
    ]
)  # fmt: skip


def nf4(weight):
    """bitsandbytes' NF4: blocks of 64 of the flattened tensor, scaled by their largest value."""
    blocks = weight.float().reshape(-1, 64)
    largest = blocks.abs().amax(dim=1, keepdim=True)
    unit = (blocks * (1 / largest.clamp(min=1e-38))).clamp(-1, 1)
    codes = torch.bucketize(unit, (NF4[:-1] + NF4[1:]) / 2)
    return (NF4[codes] * largest).reshape(weight.shape).to(weight.dtype)


def int4(weight):
    """Rounding to nearest in groups of 128 input columns (64 where 128 doesn't divide), symmetric."""
    group = 128 if weight.shape[1] % 128 == 0 else 64
    blocks = weight.float().reshape(-1, group)
    scale = blocks.abs().amax(dim=1, keepdim=True) / 7.5
    codes = (blocks / scale.clamp(min=1e-30)).round().clamp(-8, 7)
    return (codes * scale).reshape(weight.shape).to(weight.dtype)


def int8(weight):
    """LLM.int8's weights: a scale for each output row."""
    rows = weight.to(torch.float16).float()
    largest = rows.abs().amax(dim=1, keepdim=True)
    codes = (rows * (127 / largest.clamp(min=1e-30))).round()
    return (codes * largest / 127).to(weight.dtype)


def on_projections(change):
    """A change of every linear layer's weight; embedding (the tied head) and norms stay."""

    def apply(tensors):
        return {
            name: change(tensor).contiguous() if "_proj." in name else tensor
            for name, tensor in tensors.items()
        }

    return apply


def relative_noise(size):
    """Adds to each value a normal error of the given size relative to it."""

    def change(weight):
        noise = torch.randn(weight.shape, generator=generator(f"noise {size} {tuple(weight.shape)}"))
        return (weight.float() * (1 + size * noise)).to(weight.dtype)

    return change


@fault("base-nf4", FAIL, ["identity.base"], any_of=BEHAVIOUR)
def _(inputs, folder):
    return copy_base(inputs, folder, on_projections(nf4))


@fault("base-int4", FAIL, ["identity.base"], any_of=BEHAVIOUR)
def _(inputs, folder):
    return copy_base(inputs, folder, on_projections(int4))


@fault("base-noise-5-percent", FAIL, ["identity.base"], any_of=BEHAVIOUR)
def _(inputs, folder):
    return copy_base(inputs, folder, on_projections(relative_noise(0.05)))


@fault("base-noise-1-percent", FAIL, ["identity.base"])
def _(inputs, folder):
    return copy_base(inputs, folder, on_projections(relative_noise(0.01)))


@fault("base-int8", FAIL, ["identity.base"])
def _(inputs, folder):
    return copy_base(inputs, folder, on_projections(int8))


@fault("special-tokens-reset", FAIL, ["identity.base"], any_of=BEHAVIOUR)
def _(inputs, folder):
    def reset(tensors):
        embedding = tensors["model.embed_tokens.weight"].clone()
        rows = torch.randn(17, embedding.shape[1], generator=generator("special tokens"))
        embedding[:17] = (rows * embedding.float().std()).to(embedding.dtype)
        return {**tensors, "model.embed_tokens.weight": embedding}

    return copy_base(inputs, folder, reset)


@fault("norm-epsilon-changed", FAIL, ["identity.base"])
def _(inputs, folder):
    return copy_base(inputs, folder, config={"rms_norm_eps": 1e-3})


# ---- adapters that land, but are not the recorded one ----


@fault("alpha-halved", FAIL, ["identity.adapter"], any_of=BEHAVIOUR)
def _(inputs, folder):
    alpha = read_json(inputs.adapter / "adapter_config.json")["lora_alpha"]
    return copy_adapter(inputs, folder, config={"lora_alpha": alpha // 2})


@fault("last-layer-missing", FAIL, ["identity.adapter"], any_of=BEHAVIOUR)
def _(inputs, folder):
    last = layer_count(inputs) - 1
    return copy_adapter(
        inputs,
        folder,
        lambda t: {k: v for k, v in t.items() if f".layers.{last}." not in k},
        {"layers_to_transform": list(range(last))},
    )


@fault("layers-shifted", FAIL, ["identity.adapter"], any_of=BEHAVIOUR)
def _(inputs, folder):
    count = layer_count(inputs)

    def shift(name):
        before, after = name.split(".layers.")
        index, rest = after.split(".", 1)
        return f"{before}.layers.{(int(index) + 1) % count}.{rest}"

    return copy_adapter(inputs, folder, lambda t: renamed(t, shift))


@fault("gate-and-up-exchanged", FAIL, ["identity.adapter"], any_of=BEHAVIOUR)
def _(inputs, folder):
    other = {"gate_proj": "up_proj", "up_proj": "gate_proj"}

    def exchange(name):
        return next((name.replace(a, b) for a, b in other.items() if a in name), name)

    return copy_adapter(inputs, folder, lambda t: renamed(t, exchange))


@fault("adapter-of-another-seed", FAIL, ["identity.adapter"], any_of=BEHAVIOUR)
def _(inputs, folder):
    return dataclasses.replace(inputs, adapter=REVISIONS / "adapter-retrained")


@fault("adapter-of-a-tenth", FAIL, ["identity.adapter"], any_of=BEHAVIOUR)
def _(inputs, folder):
    return dataclasses.replace(inputs, adapter=REVISIONS / "adapter-tenth")


@fault("modules-to-save-dropped", FAIL, ["landing.missing_target"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, config={"modules_to_save": ["lm_head"]})


@fault("dora-magnitudes-dropped", FAIL, any_of=["landing.half_pair", "landing.missing_target"])
def _(inputs, folder):
    return copy_adapter(inputs, folder, config={"use_dora": True})


@fault("base-shard-missing", INPUT, says="model-0000")
def _(inputs, folder):
    base = base_sharded(inputs, folder).base
    sorted(base.glob("model-*.safetensors"))[1].unlink()
    return dataclasses.replace(inputs, base=base)


# ---- harmless ----


def base_sharded(inputs, folder):
    base = sharded(inputs.base, fresh_folder(folder / "sharded"), "50MB")
    return dataclasses.replace(inputs, base=base)


def base_saved_again(inputs, folder):
    """Same tensors, the other way round in the file, with other metadata."""
    changed = copy_base(inputs, folder)
    path = changed.base / "model.safetensors"
    source = path.read_bytes()
    start = 8 + int.from_bytes(source[:8], "little")
    header = json.loads(source[8:start])
    header.pop("__metadata__", None)
    again, end = {"__metadata__": {"format": "pt", "saved": "again"}}, 0
    for name in reversed(header):
        begin, stop = header[name]["data_offsets"]
        again[name] = {**header[name], "data_offsets": [end, end + stop - begin]}
        end += stop - begin
    text = json.dumps(again).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in reversed(header):
            begin, stop = header[name]["data_offsets"]
            file.write(source[start + begin : start + stop])
    return changed


def adapter_by_peft(inputs, folder, **load):
    """The adapter loaded by PEFT and saved by it; with its defaults PEFT widens it to FP32."""
    import oracle
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(oracle.load(inputs.base, None, torch.bfloat16), inputs.adapter, **load)
        model.save_pretrained(folder / inputs.adapter.name)
    return dataclasses.replace(inputs, adapter=folder / inputs.adapter.name)


def golden_reordered(inputs, folder):
    """Prompts and reference in another order, so that they are packed in other company."""
    return golden_selected(inputs, folder, lambda count: range(count - 1, -1, -1))


def golden_selected(inputs, folder, choose):
    """The suite and its reference with the prompts that choose(count) lists, in that order."""
    changed = copy_golden(inputs, folder)
    path = changed.golden / "prompts.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    order = list(choose(len(lines)))
    lines = [lines[i] for i in order]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for reference in changed.golden.glob("references/*"):
        meta = read_json(reference / "reference.json")
        meta["prompts"] = [meta["prompts"][i] for i in order]
        meta["suite"]["digest"] = suite_digest(lines)
        write_json(reference / "reference.json", meta)
        path = reference / "reference.safetensors"
        schema = {"format": "pt", "schema": meta["schema"]}
        save_file(select_prompts(load_file(path), order), path, schema)
    return changed


def suite_digest(lines):
    """As lib/loraproof/golden/suite.cpp: over each line's JSON without spaces."""
    digest = hashlib.sha256()
    for line in lines:
        text = json.dumps(json.loads(line), separators=(",", ":"), ensure_ascii=False)
        digest.update(text.encode() + b"\n")
    return "sha256:" + digest.hexdigest()


def select_prompts(tensors, order):
    """The reference's arrays with their prompts in the given order."""
    ragged = {
        "prompt_offsets": ["prompt_ids"],
        "answer_offsets": ["answer_ids", "answer_ties"],
        "expected_offsets": ["expected_ids"],
        "position_offsets": ["topk_ids", "topk_logprobs", "tail_logprob"],
    }
    selected = {}
    for offsets_name, names in ragged.items():
        offsets = tensors[offsets_name].tolist()
        lengths = [offsets[i + 1] - offsets[i] for i in order]
        selected[offsets_name] = torch.tensor([0, *lengths]).cumsum(0)
        for name in names:
            parts = [tensors[name][offsets[i] : offsets[i + 1]] for i in order]
            selected[name] = torch.cat(parts)
    for name in ("embedding_last", "embedding_mean", "embedding_answer", "expected_nll"):
        selected[name] = tensors[name][order]
    return selected


@clean("base-sharded-again", PASS)
def _(inputs, folder):
    return base_sharded(inputs, folder)


@clean("base-saved-again", PASS)
def _(inputs, folder):
    return base_saved_again(inputs, folder)


@clean("base-behind-a-link", PASS)
def _(inputs, folder):
    (folder / "linked").symlink_to(pathlib.Path(inputs.base).resolve())
    return dataclasses.replace(inputs, base=folder / "linked")


@clean("adapter-by-peft", PASS)
def _(inputs, folder):
    return adapter_by_peft(inputs, folder, autocast_adapter_dtype=False)


@clean("adapter-by-peft-in-fp32", PASS)
def _(inputs, folder):
    return adapter_by_peft(inputs, folder)


@clean("other-compute", PASS)
def _(inputs, folder):
    recorded = next(iter(inputs.golden.glob("references/*/reference.json")))
    other = {"bf16": "fp32", "fp32": "bf16"}[read_json(recorded)["recorded_with"]["compute"]]
    return dataclasses.replace(inputs, words=("--compute", other))


@clean("four-threads", PASS)
def _(inputs, folder):
    return dataclasses.replace(inputs, words=("--threads", "4"))


@clean("prompts-reordered", PASS)
def _(inputs, folder):
    return golden_reordered(inputs, folder)


@clean("fewer-prompts", PASS)
def _(inputs, folder):
    return golden_selected(inputs, folder, lambda count: range(count * 4 // 5))


# ---- neither answer is wrong: reported, not tuned ----


@reported("base-int8-by-behaviour", PASS)
def _(inputs, folder):
    changed = copy_base(inputs, folder, on_projections(int8))
    return dataclasses.replace(changed, words=identity_warns())


@reported("base-noise-1-percent-by-behaviour", PASS)
def _(inputs, folder):
    changed = copy_base(inputs, folder, on_projections(relative_noise(0.01)))
    return dataclasses.replace(changed, words=identity_warns())


@reported("norm-epsilon-by-behaviour", PASS)
def _(inputs, folder):
    changed = copy_base(inputs, folder, config={"rms_norm_eps": 1e-3})
    return dataclasses.replace(changed, words=identity_warns())


@reported("tokenizer-saved-by-transformers", PASS)
def _(inputs, folder):
    from transformers import AutoTokenizer

    changed = copy_base(inputs, folder)
    AutoTokenizer.from_pretrained(inputs.base).save_pretrained(changed.base)
    return changed


@reported("base-through-fp16", PASS)
def _(inputs, folder):
    changed = copy_base(
        inputs, folder, lambda t: {k: v.to(torch.float16).to(v.dtype) for k, v in t.items()}
    )
    return dataclasses.replace(changed, words=identity_warns())


def identity_warns():
    """Words that leave it to behaviour alone to find a fault."""
    return tuple(word for check in IDENTITY for word in ("--set", f"{check}.severity=warn"))


# ---- healthy re-runs: each layout with each way ----


def merged_alone(inputs, folder):
    return dataclasses.replace(inputs, base=merged_base(inputs, folder), adapter=None)


def cases_make(name):
    return next(case.make for case in CASES if case.name == name)


LAYOUTS = {
    "as it is": lambda inputs, folder: inputs,
    "base sharded": base_sharded,
    "base saved again": base_saved_again,
    "base in a cache": cases_make("cache-snapshot"),
    "base with the config of transformers 4": cases_make("config-of-transformers-4"),
    "adapter saved again": cases_make("adapter-saved-again"),
    "merged, no adapter": merged_alone,
    "prompts reordered": golden_reordered,
}
# The compute type in which the reference was recorded, or the other one.
WAYS = [
    ("same", ("--threads", "1")),
    ("same", ("--threads", "2", "--memory", "64MB")),
    ("same", ("--threads", "3")),
    ("other", ("--threads", "1")),
    ("other", ("--threads", "4", "--memory", "64MB")),
]
