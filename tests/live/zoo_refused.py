#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Model folders whose configuration must be refused by name: each would change what the model computes."""

import dataclasses
import pathlib
import shutil

from live_support import fresh_folder, read_json, write_json


@dataclasses.dataclass(frozen=True)
class Refused:
    name: str
    folder: pathlib.Path
    key: str  # the refusal must name it


ROPE = {"rope_theta": 10000.0}
# name, what is changed in config.json (None takes a key away), what the message must name
CHANGES = [
    ("gelu", {"hidden_act": "gelu"}, "hidden_act"),
    ("partial-rotary", {"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    (
        "partial-rotary-5",
        {"rope_parameters": {**ROPE, "rope_type": "default", "partial_rotary_factor": 0.5}},
        "partial_rotary_factor",
    ),
    (
        "longrope",
        {
            "rope_parameters": {
                **ROPE,
                "rope_type": "longrope",
                "short_factor": [1.0] * 8,
                "long_factor": [2.0] * 8,
                "original_max_position_embeddings": 32,
            }
        },
        "longrope",
    ),
    ("rope-unknown-key", {"rope_parameters": {**ROPE, "rope_type": "default", "warp": 2}}, "warp"),
    (
        "rope-per-layer-type",
        {"rope_parameters": {"full_attention": {**ROPE, "rope_type": "default"}}},
        "full_attention",
    ),
    ("quantised", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantization_config"),
    ("gemma", {"model_type": "gemma", "architectures": ["GemmaForCausalLM"]}, "gemma"),
    ("llama-window", {"sliding_window": 8}, "sliding_window"),
    ("logit-scale", {"logit_scale": 0.25}, "logit_scale"),
    ("residual-multiplier", {"residual_multiplier": 0.22}, "residual_multiplier"),
    ("attention-scale", {"query_pre_attn_scalar": 128}, "query_pre_attn_scalar"),
    (
        "layer-types",
        {"model_type": "qwen2", "layer_types": ["full_attention", "chunked_attention", "full_attention"]},
        "layer_types",
    ),
    ("mistral-layer-types", {"model_type": "mistral", "layer_types": ["full_attention"] * 3}, "layer_types"),
    ("heads-do-not-divide", {"num_key_value_heads": 3}, "num_key_value_heads"),
    ("no-hidden-size", {"hidden_size": None}, "hidden_size"),
    ("vocabulary-is-text", {"vocab_size": "300"}, "vocab_size"),
    ("layers-missing", {"num_hidden_layers": 4}, "layers.3"),
    ("vocabulary-too-large", {"vocab_size": 320}, "embed_tokens"),
]


def build_refused(work, base):
    refused = []
    for name, changes, key in CHANGES:
        folder = fresh_folder(work / "refused" / name)
        shutil.copytree(base, folder, dirs_exist_ok=True)
        config = read_json(base / "config.json")
        for field, value in changes.items():
            if value is None:
                config.pop(field, None)
            else:
                config[field] = value
        write_json(folder / "config.json", config)
        refused.append(Refused(name, folder, key))
    return refused
