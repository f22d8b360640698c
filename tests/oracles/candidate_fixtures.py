#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/fixtures/candidates: a tiny Llama quantised by GPTQModel (GPTQ in both layouts and
AWQ), and the digests of what GPTQModel's own layers dequantise each of its files to.

    candidate_fixtures.py OUT [NAME...]

Needs gptqmodel 7.7.0 (with transformers 5.23.0, torch 2.13.0 on a CPU); takes minutes. The tests need
only the files. Digest: SHA-256 over the float32 values [out, in], little-endian, row after row.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch
from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
from gptqmodel.quantization import FORMAT, METHOD
from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm
from transformers import LlamaConfig, LlamaForCausalLM

TOKENIZER = Path(__file__).resolve().parents[2] / "examples/demo-model/base"
CASES = {
    "gptq-act-order": dict(bits=4, group_size=32, desc_act=True, sym=True, format=FORMAT.GPTQ),
    "gptq-asymmetric": dict(bits=4, group_size=32, desc_act=False, sym=False, format=FORMAT.GPTQ),
    "gptq-v2-int8": dict(
        bits=8,
        group_size=-1,
        desc_act=False,
        act_group_aware=False,
        sym=False,
        format=FORMAT.GPTQ_V2,
    ),
    "awq": dict(bits=4, group_size=32, quant_method=METHOD.AWQ, format=FORMAT.GEMM),
}


def make_base(folder):
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=621,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=256,
        dtype="bfloat16",
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder)


def dequantised(module):
    """[out, in] as the library's layer computes it, or None for a layer of another kind."""
    if not hasattr(module, "qweight"):
        return None
    if hasattr(module, "dequantize_weight"):
        return module.dequantize_weight().T
    return dequantize_gemm(
        module.qweight, module.qzeros, module.scales, module.bits, module.group_size
    ).T


def digest(tensor):
    values = tensor.detach().float().contiguous().numpy().astype("<f4")
    return hashlib.sha256(values.tobytes()).hexdigest()


def make_case(base, out, options):
    texts = [f"{i} the quick brown fox jumps over the lazy dog " * 8 for i in range(16)]
    model = GPTQModel.load(str(base), QuantizeConfig(device="cpu", **options))
    model.quantize(texts, batch_size=2)
    written = out.parent / (out.name + ".all")
    model.save(str(written))
    backend = BACKEND.AWQ_TORCH if options.get("quant_method") == METHOD.AWQ else BACKEND.TORCH
    loaded = GPTQModel.load(str(written), backend=backend, device="cpu")
    expected = {}
    for name, module in loaded.model.named_modules():
        weight = dequantised(module)
        if weight is not None:
            expected[f"{name}.weight"] = {
                "dtype": str(weight.dtype).removeprefix("torch."),
                "sha256": digest(weight),
                "begin": weight.float().flatten()[:4].tolist(),
            }
    assert len(expected) == 7, sorted(expected)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(written / name, out)
    config = json.loads((out / "config.json").read_text())
    config["quantization_config"].pop("meta", None)  # names folders of the machine
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


def main():
    out = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as work:
        base = Path(work) / "base"
        make_base(base)
        for name in sys.argv[2:] or CASES:
            make_case(base, out / name, CASES[name])
            shutil.rmtree(out / (name + ".all"))


main()
