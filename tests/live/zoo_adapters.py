#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PEFT adapters of every supported kind for the zoo's models, with nothing left at its initial value."""

import dataclasses
import pathlib
import warnings

import torch
from live_support import fresh_folder, generator
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

QKV = ["q_proj", "k_proj", "v_proj"]
LINEAR = "all-linear"


@dataclasses.dataclass(frozen=True)
class AdapterSpec:
    name: str
    model: str
    settings: dict
    dtype: torch.dtype = torch.float32


@dataclasses.dataclass(frozen=True)
class Adapter:
    name: str
    model: str
    folder: pathlib.Path


ADAPTERS = [
    AdapterSpec("plain", "llama3", {"target_modules": ["q_proj", "v_proj"]}),
    AdapterSpec("plain-bf16", "llama3", {"target_modules": QKV}, torch.bfloat16),
    AdapterSpec("plain-f16", "llama-yarn", {"target_modules": QKV}, torch.float16),
    AdapterSpec("linear", "llama2", {"target_modules": LINEAR}),
    AdapterSpec("linear-head-dim", "llama-head-dim", {"target_modules": LINEAR}),
    AdapterSpec("linear-window", "mistral-window", {"target_modules": LINEAR}),
    AdapterSpec("rslora", "llama3", {"target_modules": LINEAR, "use_rslora": True, "r": 8}),
    AdapterSpec(
        "patterns",
        "llama3",
        {
            "target_modules": LINEAR,
            "rank_pattern": {"layers.1.self_attn.q_proj": 2, "down_proj": 6, r".*\.0\..*v_proj": 3},
            "alpha_pattern": {"o_proj": 16, r"model\.layers\.2\..*": 3},
        },
    ),
    AdapterSpec("dora", "qwen2", {"target_modules": LINEAR, "use_dora": True}),
    AdapterSpec(
        "dora-rslora", "llama2", {"target_modules": QKV, "use_dora": True, "use_rslora": True}
    ),
    AdapterSpec("dora-biases", "llama-biases", {"target_modules": LINEAR, "use_dora": True}),
    AdapterSpec("lora-bias", "llama-biases", {"target_modules": LINEAR, "lora_bias": True}),
    AdapterSpec("bias-all", "llama-biases", {"target_modules": QKV, "bias": "all"}),
    AdapterSpec("bias-lora-only", "qwen2", {"target_modules": ["q_proj"], "bias": "lora_only"}),
    AdapterSpec("save-head", "llama2", {"target_modules": QKV, "modules_to_save": ["lm_head"]}),
    AdapterSpec("save-embed", "llama2", {"target_modules": QKV, "modules_to_save": ["embed_tokens"]}),
    AdapterSpec(
        "save-both", "llama3", {"target_modules": QKV, "modules_to_save": ["embed_tokens", "lm_head"]}
    ),
    # Saved modules end the tie: PEFT gives the wrapped module weights of its own.
    AdapterSpec(
        "save-embed-tied", "llama-tied", {"target_modules": QKV, "modules_to_save": ["embed_tokens"]}
    ),
    AdapterSpec("save-head-tied", "llama-tied", {"target_modules": QKV, "modules_to_save": ["lm_head"]}),
    AdapterSpec("layers", "mistral-window", {"target_modules": QKV, "layers_to_transform": [0, 2]}),
    AdapterSpec("regex", "mistral-full", {"target_modules": r".*\.[12]\..*\.(q_proj|up_proj)"}),
    AdapterSpec(
        "exclude", "llama-linear", {"target_modules": LINEAR, "exclude_modules": ["k_proj", "gate_proj"]}
    ),
    AdapterSpec("embedding", "llama2", {"target_modules": ["embed_tokens", "q_proj"]}),
    AdapterSpec("embedding-tied", "llama-tied", {"target_modules": ["embed_tokens", "v_proj"]}),
    AdapterSpec("embedding-dora", "llama3", {"target_modules": ["embed_tokens"], "use_dora": True}),
    AdapterSpec("head", "llama2", {"target_modules": ["lm_head", "down_proj"]}),
    AdapterSpec("head-dora", "llama-dynamic", {"target_modules": ["lm_head"], "use_dora": True}),
]


def randomise(model, random):
    """Moves every weight that PEFT would save away from what the base or the initialisation holds."""
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=random)
        if "lora_A" in name or "lora_embedding_A" in name:
            weight.data.copy_(0.1 * noise)
        elif "lora_B" in name or "lora_embedding_B" in name:
            weight.data.copy_(0.1 * noise)
        elif "lora_magnitude_vector" in name:
            weight.data.mul_(1 + 0.1 * noise)
        elif weight.requires_grad:  # modules_to_save, and the biases of bias=all|lora_only
            weight.data.add_(0.05 * noise)


def make_adapter(spec, base, folder):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(task_type="CAUSAL_LM", **{"r": 4, "lora_alpha": 8, **spec.settings})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT talks about tied weights; the cases mean them
        model = get_peft_model(model, config)
        with torch.no_grad():
            randomise(model, generator(spec.name))
        model.save_pretrained(fresh_folder(folder))
    if spec.dtype != torch.float32:
        path = folder / "adapter_model.safetensors"
        tensors = {name: tensor.to(spec.dtype) for name, tensor in load_file(path).items()}
        save_file(tensors, path, {"format": "pt"})


def build_adapters(work, bases, names=None):
    """Writes the adapters of the models in `bases` ({model name: folder})."""
    adapters = []
    for spec in ADAPTERS:
        if spec.model not in bases or (names is not None and spec.name not in names):
            continue
        folder = work / "adapters" / spec.name
        make_adapter(spec, bases[spec.model], folder)
        adapters.append(Adapter(spec.name, spec.model, folder))
    return adapters
