#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes golden/values/engine_tiny.safetensors and rope.json: what transformers and PEFT compute.

    tests/oracles/engine_tiny.py

For the tiny models and adapters of tests/fixtures/adapters: FP32 logits, hidden states after the final norm and
eight greedy tokens for three token sequences. For each rope type: inverse frequencies and the factor on cos and sin.
"""

import json
import pathlib

import torch
import transformers
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests/fixtures/adapters"
SEQUENCES = [[5, 9, 3], [7], [1, 40, 12, 33, 8, 21, 2, 4, 30, 11, 6]]
CASES = [
    ("base", None), ("base", "plain"), ("base", "dora"), ("base", "rslora"), ("base", "modules_to_save"),
    ("base", "embedding"), ("base", "dora_embedding"), ("base", "lora_bias"), ("base_bias", "bias_all"), ("base_tied", "tied_head"),
]  # fmt: skip
NEW_TOKENS = 8
ROPES = {
    "default": {"rope_type": "default", "rope_theta": 10000.0},
    "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5},
    "dynamic": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 3.0},
    "llama3": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
    "yarn": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32},
    "yarn_mscale": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "mscale": 0.7, "mscale_all_dim": 1.3,
                    "beta_fast": 16.0, "beta_slow": 2.0, "truncate": False, "original_max_position_embeddings": 32},
}  # fmt: skip
HEAD_DIM, MAX_POSITIONS, LONG = 16, 64, 150


def load(base, adapter):
    model = AutoModelForCausalLM.from_pretrained(FIXTURES / base, dtype=torch.float32, attn_implementation="sdpa")
    if adapter:
        model = PeftModel.from_pretrained(model, FIXTURES / adapter)
    return model.eval()


@torch.no_grad()
def engine_values():
    tensors = {}
    for base, adapter in CASES:
        model = load(base, adapter)
        for i, ids in enumerate(SEQUENCES):
            name = f"{base}.{adapter or 'none'}.{i}"
            out = model(torch.tensor([ids]), output_hidden_states=True)
            tensors[f"logits.{name}"] = out.logits[0].contiguous()
            tensors[f"hidden.{name}"] = out.hidden_states[-1][0].contiguous()
            new = model.generate(input_ids=torch.tensor([ids]), max_new_tokens=NEW_TOKENS, do_sample=False,
                                 attention_mask=torch.ones(1, len(ids), dtype=torch.long))  # fmt: skip
            tensors[f"generated.{name}"] = new[0, len(ids):].to(torch.int32).contiguous()
    return tensors


def rope_values():
    values = {}
    for name, parameters in ROPES.items():
        config = LlamaConfig(hidden_size=HEAD_DIM * 4, num_attention_heads=4, max_position_embeddings=MAX_POSITIONS,
                             rope_parameters=dict(parameters))  # fmt: skip
        for length in (MAX_POSITIONS, LONG):
            if parameters["rope_type"] == "default":
                inverse, factor = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
            else:
                inverse, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, seq_len=length)
            values[f"{name}.{length}"] = {"inverse": inverse.double().tolist(), "attention_factor": float(factor)}
    return values


def main():
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    save_file(engine_values(), ROOT / "golden/values/engine_tiny.safetensors", metadata={"format": "pt", "made_by": "tests/oracles/engine_tiny.py", **versions})
    document = {"made_by": "tests/oracles/engine_tiny.py", "versions": versions, "parameters": ROPES, "head_dim": HEAD_DIM,
                "max_positions": MAX_POSITIONS, "values": rope_values()}  # fmt: skip
    (ROOT / "golden/values/rope.json").write_text(json.dumps(document, indent=1) + "\n")


main()
