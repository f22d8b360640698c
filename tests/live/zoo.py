#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiny random models of every supported family and rope kind, and PEFT adapters for them.

zoo.py WORK writes WORK/models/<name>, WORK/adapters/<name> and WORK/refused/<name>. Everything is
random but depends on the name alone. Weights are wide enough that the logits are not flat.
"""

import dataclasses
import pathlib
import sys

import torch
from live_support import fresh_folder, generator
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers import Qwen2Config, Qwen2ForCausalLM
from zoo_layouts import LAYOUTS

VOCABULARY = 300
DIMENSIONS = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
}


@dataclasses.dataclass(frozen=True)
class Model:
    """A model; `layouts` names rewritten copies of it (zoo_layouts.LAYOUTS) that must mean the same."""

    name: str
    family: str
    settings: dict
    layouts: tuple = ()
    dtype: torch.dtype = torch.bfloat16


def rope(kind, theta=10000.0, **settings):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **settings}}


LLAMA3 = rope(
    "llama3",
    500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=32,
)
YARN = {"factor": 4.0, "original_max_position_embeddings": 16}
MODELS = [
    Model("llama2", "llama", {"num_key_value_heads": 4}, ("config4",)),
    Model("llama3", "llama", {**LLAMA3}, ("config4", "sharded", "cache")),
    Model("llama-linear", "llama", rope("linear", factor=4.0), ("config4",)),
    # Both sides of the 32 positions above which the base of the rotation grows with the length.
    Model(
        "llama-dynamic",
        "llama",
        {**rope("dynamic", factor=2.0), "max_position_embeddings": 32},
        ("config4",),
    ),
    Model("llama-yarn", "llama", {**rope("yarn", **YARN), "max_position_embeddings": 64}, ("config4",)),
    Model(
        "llama-yarn-attention-factor",
        "llama",
        {
            **rope("yarn", **YARN, attention_factor=0.8, beta_fast=8.0, beta_slow=2.0, truncate=False),
            "max_position_embeddings": 64,
        },
    ),
    Model(
        "llama-yarn-mscale",
        "llama",
        {**rope("yarn", **YARN, mscale=0.7, mscale_all_dim=1.3), "max_position_embeddings": 64},
    ),
    # Many stop tokens, so that greedy answers do end early.
    Model(
        "llama-tied",
        "llama",
        {"tie_word_embeddings": True, "eos_token_id": [2, *range(100, 140)]},
        ("config4",),
    ),
    Model("llama-biases", "llama", {"attention_bias": True, "mlp_bias": True}),
    Model("llama-head-dim", "llama", {"head_dim": 32}),
    Model("llama-dropout", "llama", {"attention_dropout": 0.1, "rms_norm_eps": 1e-3}),
    Model("llama-f32", "llama", {}, dtype=torch.float32),
    Model("llama-f16", "llama", {}, dtype=torch.float16),
    Model(
        "smollm2",
        "llama",
        {
            **rope("default", 100000.0),
            "tie_word_embeddings": True,
            "hidden_size": 72,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "rms_norm_eps": 1e-5,
        },
        ("config4",),
    ),
    Model("mistral-window", "mistral", {"sliding_window": 8}, ("config4",)),
    Model("mistral-full", "mistral", {"sliding_window": None}, ("config4",)),
    Model("mistral-head-dim", "mistral", {"sliding_window": None, "head_dim": 32}),
    Model("qwen2", "qwen2", {**rope("default", 1e6), "tie_word_embeddings": True}, ("config4",)),
    Model(
        "qwen2-window",
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
        ("config4",),
    ),
    Model(
        "qwen2-layer-types",
        "qwen2",
        {
            "use_sliding_window": True,
            "sliding_window": 8,
            "max_window_layers": 3,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    Model(
        "qwen2-yarn",
        "qwen2",
        {**rope("yarn", 1e6, **YARN), "max_position_embeddings": 64},
        ("config4",),
    ),
]
MODELS_BY_NAME = {model.name: model for model in MODELS}


def randomise(model, random):
    """Fills all weights: matrices with std 0.15, the head wider, norms around 1, biases around 0."""
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=random)
        if "norm" in name:
            value = 1 + 0.2 * noise
        elif weight.dim() == 1:
            value = 0.2 * noise
        else:
            value = noise * (0.3 if "lm_head" in name or "embed_tokens" in name else 0.15)
        weight.data.copy_(value)


def make_model(spec, folder):
    config_class, model_class = FAMILIES[spec.family]
    config = config_class(**{**DIMENSIONS, **spec.settings})
    model = model_class(config)
    with torch.no_grad():
        randomise(model, generator(spec.name))
    model = model.to(spec.dtype)
    model.config.dtype = spec.dtype
    # Greedy decoding, whatever defaults transformers has for sampling.
    model.generation_config.do_sample = False
    model.save_pretrained(fresh_folder(folder))


def build(work, names=None):
    """Writes the models; returns {name of folder: (folder, name of the model that it must equal)}."""
    folders = {}
    for spec in MODELS:
        if names is not None and spec.name not in names:
            continue
        folder = work / "models" / spec.name
        make_model(spec, folder)
        folders[spec.name] = (folder, None)
        for layout in spec.layouts:
            name = f"{spec.name}+{layout}"
            copy = LAYOUTS[layout](folder, fresh_folder(work / "models" / name))
            folders[name] = (copy, spec.name)
    return folders


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    from zoo_adapters import build_adapters
    from zoo_refused import build_refused

    work = pathlib.Path(sys.argv[1])
    folders = build(work)
    adapters = build_adapters(work, {name: folder for name, (folder, _) in folders.items()})
    refused = build_refused(work, folders["llama3"][0])
    for folder in [folder for folder, _ in folders.values()] + [a.folder for a in adapters]:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{size:>9} {folder}")
    print(f"{len(folders)} models, {len(adapters)} adapters, {len(refused)} refused configurations")


if __name__ == "__main__":
    main()
