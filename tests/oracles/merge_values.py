#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small bases and PEFT adapters with the digests of their merged weights: float64, rounded once, as tests/live/merge_live.py
works them out. Committed, so that tests/unit/commands needs no Python.

    PYTHONPATH=tests/live python tests/oracles/merge_values.py tests/fixtures/merge
"""
import hashlib
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file

import merge_live
from live_support import fresh_folder, read_json

NAMES = ("linear", "rslora", "dora", "gpt2", "gemma-head", "embedding-tied", "lora-bias", "mixtral-experts", "qwen3-moe-experts",
         "granite-moe-stacked", "tokens", "linear-f16")
SMALL = {"vocab_size": 96, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2,
         "num_key_value_heads": 1, "n_embd": 24, "n_layer": 1, "n_head": 2, "num_local_experts": 2, "num_experts": 2,
         "moe_intermediate_size": 16, "num_experts_per_tok": 1}


def shrink():
    for name, (config, settings) in merge_live.MODELS.items():
        merge_live.MODELS[name] = (config, {**settings, **{key: value for key, value in SMALL.items() if key in settings}})


def rounded(value, dtype):
    """Float64 to 16 bit at once: torch goes through float32, so that is rounded to odd first."""
    single = value.to(torch.float32)
    odd = single.view(torch.int32) - (single.double().abs() > value.abs()).int()
    odd = torch.where(single.double() == value, single.view(torch.int32), odd | 1).view(torch.float32)
    return odd.to(dtype)


def digest(tensor):
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def main():
    shrink()
    root = fresh_folder(pathlib.Path(sys.argv[1]))
    for case in (case for case in merge_live.CASES if case.name in NAMES):
        base, adapter = root / case.name / "base", root / case.name / "adapter"
        merge_live.make_base(case.model, case.dtype, base)
        merge_live.make_adapter(case, base, adapter)
        (adapter / "README.md").unlink(missing_ok=True)
        before, config = merge_live.tensors_of(base), read_json(adapter / "adapter_config.json")
        config["base_model_name_or_path"] = case.model
        (adapter / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
        truth = merge_live.truth_of(before, load_file(adapter / "adapter_model.safetensors"), config, case.model, 1)
        expected = {name: digest(rounded(value, case.dtype)) for name, value in sorted(truth.items())}
        (root / case.name / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
