#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/fixtures/adapters (tiny Llama bases and the adapters that PEFT saves for them) and
golden/values/adapter_landing.json: what PEFT itself wraps, with which rank, scale and delta, after
loading each adapter again from disk.

Run from the repository root with peft 0.21.2, transformers 5.23, torch 2.13:
    python3 tests/oracles/adapter_oracle.py
"""

import json
import shutil
import tempfile
import warnings
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.lora.layer import Embedding as LoraEmbedding
from peft.utils.other import ModulesToSaveWrapper
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "adapters"
VALUES = ROOT / "golden" / "values" / "adapter_landing.json"
ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

BASES = {
    "base": dict(tie_word_embeddings=False, attention_bias=False),
    "base_bias": dict(tie_word_embeddings=False, attention_bias=True),
    "base_tied": dict(tie_word_embeddings=True, attention_bias=False),
}

CASES = {
    "plain": ("base", dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])),
    "rank_one": ("base", dict(r=1, lora_alpha=3, target_modules=["down_proj"])),
    "rslora": ("base", dict(r=5, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "k_proj", "o_proj"])),
    "patterns": ("base", dict(
        r=4, lora_alpha=8, target_modules=ALL_LINEAR,
        rank_pattern={"layers.0.self_attn.q_proj": 2, "q_proj": 3, r"^model\.layers\.1\.mlp\.down_proj": 6,
                      r"(gate|up)_proj": 5},
        alpha_pattern={"v_proj": 32, "self_attn.q_proj": 1, r".*mlp\.(up|down)_proj": 7})),
    "patterns_rslora": ("base", dict(
        r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "v_proj"],
        rank_pattern={"q_proj": 7}, alpha_pattern={"1.self_attn.v_proj": 20})),
    "regex": ("base", dict(r=4, lora_alpha=16, target_modules=r".*layers\.[01]\.(self_attn\.(q|v)|mlp\.up)_proj")),
    "all_linear": ("base", dict(r=2, lora_alpha=4, target_modules="all-linear")),
    "exclude": ("base", dict(r=2, lora_alpha=4, target_modules=ALL_LINEAR, exclude_modules=["layers.0.mlp.up_proj", "k_proj"])),
    "exclude_regex": ("base", dict(r=2, lora_alpha=4, target_modules="all-linear", exclude_modules=r".*\.mlp\..*")),
    "layers": ("base", dict(r=2, lora_alpha=4, target_modules=["q_proj", "o_proj"], layers_to_transform=[1], layers_pattern="layers")),
    "layers_int": ("base", dict(r=2, lora_alpha=4, target_modules=["q_proj"], layers_to_transform=0)),
    "modules_to_save": ("base", dict(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["lm_head", "embed_tokens"])),
    "modules_to_save_norm": ("base", dict(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["norm"])),
    "modules_to_save_mlp": ("base_bias", dict(r=2, lora_alpha=4, target_modules=ALL_LINEAR, modules_to_save=["layers.1.mlp", "layers.0.self_attn.k_proj"])),
    "bias_all": ("base_bias", dict(r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"], bias="all")),
    "bias_lora_only": ("base_bias", dict(r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"], bias="lora_only")),
    "bias_all_saved": ("base_bias", dict(r=2, lora_alpha=4, target_modules=["q_proj"], bias="all", modules_to_save=["k_proj"])),
    "lora_bias": ("base_bias", dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], lora_bias=True)),
    "lora_bias_unbiased": ("base", dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], lora_bias=True)),
    "dora": ("base", dict(r=2, lora_alpha=4, target_modules=["q_proj", "down_proj"], use_dora=True)),
    "dora_embedding": ("base", dict(r=2, lora_alpha=4, target_modules=["embed_tokens", "v_proj"], use_dora=True)),
    "dora_rslora_bf16": ("base", dict(r=3, lora_alpha=4, use_rslora=True, target_modules="all-linear", use_dora=True)),
    "embedding": ("base", dict(r=3, lora_alpha=5, target_modules=["embed_tokens", "q_proj"])),
    "embedding_and_head": ("base", dict(r=3, lora_alpha=5, target_modules=["embed_tokens", "lm_head"])),
    "tied_embedding": ("base_tied", dict(r=3, lora_alpha=5, target_modules=["embed_tokens", "v_proj"])),
    "tied_head": ("base_tied", dict(r=3, lora_alpha=5, target_modules=["lm_head"])),
    "tied_modules_to_save": ("base_tied", dict(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["lm_head", "embed_tokens"])),
    "saved_embeddings": ("base", dict(r=2, lora_alpha=4, target_modules=["q_proj"])),
    "bf16": ("base", dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])),
    "gaussian": ("base", dict(r=2, lora_alpha=4, target_modules=["k_proj"], init_lora_weights="gaussian")),
    "fan_in_fan_out": ("base", dict(r=2, lora_alpha=4, target_modules=["k_proj"], fan_in_fan_out=True)),
}


def make_base(name):
    torch.manual_seed(sum(map(ord, name)))
    config = LlamaConfig(
        hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=48, max_position_embeddings=64, **BASES[name])
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1 + (1.0 if "norm" in parameter_name else 0.0))
    model.save_pretrained(FIXTURES / name)
    (FIXTURES / name / "generation_config.json").unlink(missing_ok=True)


def load_base(name):
    return LlamaForCausalLM.from_pretrained(FIXTURES / name, dtype=torch.float32).eval()


def module_table(model, tied):
    modules = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            kind, rows, columns = "linear", *module.weight.shape
        elif isinstance(module, torch.nn.Embedding):
            kind, rows, columns = "embedding", *module.weight.shape
        elif "Norm" in type(module).__name__:
            kind, rows, columns = "norm", module.weight.shape[0], 0
        else:
            continue
        modules[name] = dict(kind=kind, out=rows, **{"in": columns}, bias=getattr(module, "bias", None) is not None,
                             head=name == "lm_head", tied_to="model.embed_tokens" if tied and name == "lm_head" else "")
    return modules


def make_adapter(name):
    base_name, arguments = CASES[name]
    torch.manual_seed(1000 + sum(map(ord, name)))
    model = get_peft_model(load_base(base_name), LoraConfig(task_type="CAUSAL_LM", **arguments))
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, save_embedding_layers=True if name == "saved_embeddings" else "auto")
    (folder / "README.md").unlink(missing_ok=True)
    weights = folder / "adapter_model.safetensors"
    if name.endswith("bf16"):
        save_file({k: v.bfloat16() for k, v in load_file(weights).items()}, weights, metadata={"format": "pt"})
    if name == "saved_embeddings":  # so that it matters whether they are loaded
        tensors = load_file(weights)
        for key in tensors:
            if "lora_" not in key:
                tensors[key] = tensors[key] + 0.5
        save_file(tensors, weights, metadata={"format": "pt"})
    config_file = folder / "adapter_config.json"
    config = json.loads(config_file.read_text())
    config["base_model_name_or_path"] = base_name
    for key in ("target_modules", "exclude_modules", "modules_to_save"):
        if isinstance(config[key], list):
            config[key].sort()
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def norm(tensor):
    return float(torch.linalg.norm(tensor.double()))


def expected(name):
    base_name, _ = CASES[name]
    base = load_base(base_name)
    base_state = {k: v.clone() for k, v in base.state_dict().items()}
    model = PeftModel.from_pretrained(load_base(base_name), FIXTURES / name)
    lora, saved = {}, {}
    for path, module in model.base_model.model.named_modules():
        if isinstance(module, LoraLayer):
            embedding = isinstance(module, LoraEmbedding)
            a = (module.lora_embedding_A["default"] if embedding else module.lora_A["default"].weight).double()
            b = (module.lora_embedding_B["default"] if embedding else module.lora_B["default"].weight).double()
            delta = b @ a * module.scaling["default"]
            delta = delta.T if embedding else delta
            weight = base_state[path + ".weight"].double()
            entry = dict(r=module.r["default"], scale=module.scaling["default"], delta_norm=norm(delta),
                         peft_delta_norm=norm(module.get_delta_weight("default")), weight_norm=norm(weight),
                         inner=float((weight * delta).sum()),
                         lora_bias=bool(module.lora_bias["default"]), dora=bool(module.use_dora["default"]))
            if entry["dora"]:
                magnitude = module.lora_magnitude_vector["default"].weight.double()
                moved = weight + delta
                if embedding:
                    new = magnitude.reshape(1, -1) / torch.linalg.norm(moved, dim=0, keepdim=True) * moved
                else:
                    new = magnitude.reshape(-1, 1) / torch.linalg.norm(moved, dim=1, keepdim=True) * moved
                entry["effective_norm"] = norm(new - weight)
                entry["magnitude_shape"] = list(magnitude.shape)
            else:
                entry["effective_norm"] = entry["delta_norm"]
            lora[path] = entry
        if isinstance(module, ModulesToSaveWrapper):
            for key in module.modules_to_save["default"].state_dict():
                leaf, _, kind = f"{path}.{key}".rpartition(".")
                saved.setdefault(leaf, []).append(kind)
    # Base parameters that loading changed: biases, base_layer weights, saved embeddings (tied twins included).
    replaced = {}
    for key, value in model.base_model.model.state_dict().items():
        if "lora_" in key or "modules_to_save" in key:
            continue
        plain = key.replace(".base_layer", "").replace(".original_module", "")
        if not torch.equal(value, base_state[plain]):
            leaf, _, kind = plain.rpartition(".")
            replaced.setdefault(leaf, []).append(kind)
    merged_norms = {}
    merged = PeftModel.from_pretrained(load_base(base_name).double(), FIXTURES / name, autocast_adapter_dtype=False)
    merged = merged.double()
    if not any(entry["lora_bias"] for entry in lora.values()):
        for key, value in merged.merge_and_unload().state_dict().items():
            difference = norm(value - base_state[key].double())
            if difference > 0 and key.endswith(".weight"):
                merged_norms[key.removesuffix(".weight")] = difference
    return dict(base=base_name, tensors=len(load_file(FIXTURES / name / "adapter_model.safetensors")), lora=lora,
                saved={k: sorted(v) for k, v in saved.items()}, replaced={k: sorted(v) for k, v in replaced.items()},
                merged_change=merged_norms)


# Spellings of the same adapter: does PEFT load it (true), silently not (false), or raise ("raises")?
def rename_all(find, replace):
    return lambda key: key.replace(find, replace)


DIALECTS = {
    "as_saved": ("dora", lambda key: key),
    "adapter_name_infix": ("dora", lambda key: key.replace("lora_A.weight", "lora_A.default.weight")
                           .replace("lora_B.weight", "lora_B.default.weight")),
    "other_adapter_name": ("plain", rename_all("lora_B.weight", "lora_B.other.weight")),
    "magnitude_name_and_weight": ("dora", rename_all("lora_magnitude_vector", "lora_magnitude_vector.default.weight")),
    "magnitude_weight": ("dora", rename_all("lora_magnitude_vector", "lora_magnitude_vector.weight")),
    "magnitude_name": ("dora", rename_all("lora_magnitude_vector", "lora_magnitude_vector.default")),
    "embedding_name": ("embedding", rename_all("lora_embedding_B", "lora_embedding_B.default")),
    "embedding_weight": ("embedding", rename_all("lora_embedding_B", "lora_embedding_B.weight")),
    "no_prefix": ("plain", rename_all("base_model.model.", "")),
    "half_prefix": ("plain", rename_all("base_model.model.model.", "base_model.model.")),
    "short_prefix": ("plain", rename_all("base_model.model.", "base_model.")),
    "double_prefix": ("plain", rename_all("base_model.model.", "base_model.model.base_model.model.")),
    "orig_mod": ("plain", lambda key: "_orig_mod." + key),
    "module_prefix": ("plain", lambda key: "module." + key),
    "modules_to_save_infix": ("modules_to_save", rename_all("lm_head.weight", "lm_head.modules_to_save.default.weight")),
    "modules_to_save_weight": ("modules_to_save", rename_all("lm_head.weight", "lm_head.modules_to_save.weight")),
    "wrapped_bias": ("bias_lora_only", rename_all(".base_layer.bias", ".bias")),
    "unwrapped_base_layer": ("saved_embeddings", rename_all("embed_tokens.weight", "embed_tokens.base_layer.weight")),
    "diffusers": ("plain", lambda key: key.replace("lora_A.weight", "lora.down.weight").replace("lora_B.weight", "lora.up.weight")),
    "kohya": ("plain", lambda key: "lora_te_" + key.replace("base_model.model.", "").replace(".lora_A.weight", "")
              .replace(".lora_B.weight", "").replace(".", "_") + (".lora_down.weight" if "lora_A" in key else ".lora_up.weight")),
    "lower_case": ("plain", rename_all("lora_B", "lora_b")),
}


def dialect(name):
    case, rename = DIALECTS[name]
    base_name, _ = CASES[case]
    reference = PeftModel.from_pretrained(load_base(base_name), FIXTURES / case).state_dict()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(FIXTURES / case / "adapter_config.json", folder)
        tensors = load_file(FIXTURES / case / "adapter_model.safetensors")
        keys = {key: rename(key) for key in tensors}
        save_file({keys[key]: value for key, value in tensors.items()}, Path(folder) / "adapter_model.safetensors")
        try:
            loaded = PeftModel.from_pretrained(load_base(base_name), folder).state_dict()
            result = all(torch.equal(loaded[key], value) for key, value in reference.items())
        except Exception as error:  # the table records that PEFT refuses, whatever it raises
            result = "raises"
    return dict(case=case, loads=result, keys={old: new for old, new in keys.items() if old != new})


def main():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for name in BASES:
        make_base(name)
    for name in CASES:
        make_adapter(name)
    document = dict(
        meta=dict(command="python3 tests/oracles/adapter_oracle.py", peft=peft.__version__, torch=torch.__version__.split("+")[0],
                  transformers=transformers.__version__),
        bases={name: module_table(load_base(name), BASES[name]["tie_word_embeddings"]) for name in BASES},
        cases={name: expected(name) for name in CASES},
        dialects={name: dialect(name) for name in DIALECTS})
    VALUES.parent.mkdir(parents=True, exist_ok=True)
    VALUES.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    for name, value in document["dialects"].items():
        print(name, value["loads"])
    for name, value in document["cases"].items():
        print(name, value["tensors"], len(value["lora"]), value["saved"], value["replaced"])


if __name__ == "__main__":
    main()
