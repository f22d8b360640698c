#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/fixtures/candidates: a tiny Llama quantised by GPTQModel (GPTQ in both layouts and
AWQ) and by torchao (through transformers), and the digests of what the library itself dequantises
each of its files to.

    candidate_fixtures.py OUT [NAME...]

Needs gptqmodel 7.7.0 for the names without "torchao", which takes minutes, and torchao 0.18.0 for
those with it (transformers 5.23.0, torch 2.13.0 on a CPU). The tests need only the files. Digest:
SHA-256 over the float32 values [out, in], little-endian, row after row.
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
from transformers import LlamaConfig, LlamaForCausalLM

TOKENIZER = Path(__file__).resolve().parents[2] / "examples/demo-model/base"
SMALL = dict(vocab_size=32, hidden_size=32, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1)


def gptq_cases():
    from gptqmodel.quantization import FORMAT, METHOD

    return {
        "gptq-act-order": dict(bits=4, group_size=32, desc_act=True, sym=True, format=FORMAT.GPTQ),
        "gptq-asymmetric": dict(
            bits=4, group_size=32, desc_act=False, sym=False, format=FORMAT.GPTQ
        ),
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


def torchao_cases():
    """Configurations; None: one class each, set by hand."""
    from torchao.prototype.mx_formats.inference_workflow import (
        MXDynamicActivationMXWeightConfig,
        NVFP4WeightOnlyConfig,
    )
    from torchao.quantization import (
        Float8WeightOnlyConfig,
        Int8DynamicActivationInt8WeightConfig,
        Int8WeightOnlyConfig,
        IntxWeightOnlyConfig,
        MappingType,
        PerGroup,
    )

    fp4 = torch.float4_e2m1fn_x2
    return {
        "torchao-float8": Float8WeightOnlyConfig(),
        "torchao-int8": Int8WeightOnlyConfig(granularity=PerGroup(16)),
        "torchao-int8-dynamic": Int8DynamicActivationInt8WeightConfig(),
        "torchao-int4": IntxWeightOnlyConfig(
            weight_dtype=torch.int4,
            granularity=PerGroup(32),
            mapping_type=MappingType.ASYMMETRIC,
        ),
        "torchao-nvfp4": NVFP4WeightOnlyConfig(),
        "torchao-mxfp8": MXDynamicActivationMXWeightConfig(),
        "torchao-mxfp4": MXDynamicActivationMXWeightConfig(activation_dtype=fp4, weight_dtype=fp4),
        "torchao-mixed": None,
    }


def make_base(folder, **sizes):
    torch.manual_seed(1)
    settings = dict(
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
    config = LlamaConfig(**(settings | sizes))
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder)


def dequantised(module):
    """[out, in] as GPTQModel's layer computes it, or None for a layer of another kind."""
    from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm

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


def expectation(weight):
    return {
        "dtype": str(weight.dtype).removeprefix("torch."),
        "sha256": digest(weight),
        "begin": weight.float().flatten()[:4].tolist(),
    }


def write_expected(out, expected):
    assert len(expected) == 7, sorted(expected)
    (out / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


def make_gptq_case(base, out, options):
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
    from gptqmodel.quantization import METHOD

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
            expected[f"{name}.weight"] = expectation(weight)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(written / name, out)
    config = json.loads((out / "config.json").read_text())
    config["quantization_config"].pop("meta", None)  # names folders of the machine
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_expected(out, expected)
    shutil.rmtree(written)


def set_by_hand(model):
    """A class for each matrix, also those that need a GPU to be quantised: name -> what it dequantises to."""
    from torchao.prototype.gptq.api import _int4_row_dequantize_zp
    from torchao.prototype.mx_formats.mx_tensor import MXTensor
    from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor
    from torchao.quantization import (
        Float8Tensor,
        Int4Tensor,
        Int8Tensor,
        IntxUnpackedToInt8Tensor,
        MappingType,
        PerRow,
        PerTensor,
    )
    from torchao.quantization.granularity import PerBlock

    torch.manual_seed(2)
    layer = model.model.layers[0]
    attention, mlp = layer.self_attn, layer.mlp
    expected = {}

    def put(name, module, tensor, value=None):
        module.weight = torch.nn.Parameter(tensor, requires_grad=False)
        expected[f"model.layers.0.{name}.weight"] = tensor.dequantize() if value is None else value

    def hp(module):
        return module.weight.detach()

    put(
        "self_attn.q_proj",
        attention.q_proj,
        Float8Tensor.from_hp(hp(attention.q_proj), granularity=PerTensor()),
    )
    put(
        "self_attn.k_proj",
        attention.k_proj,
        Float8Tensor.from_hp(hp(attention.k_proj), granularity=PerBlock((16, 16))),
    )
    rows = Int8Tensor.from_hp(
        hp(attention.v_proj) + 0.01, PerRow(), mapping_type=MappingType.ASYMMETRIC
    )
    put("self_attn.v_proj", attention.v_proj, rows)
    codes = torch.randint(-8, 8, (32, 64), dtype=torch.int8)
    packed = (codes[:, ::2] & 15) | (codes[:, 1::2] << 4)
    scale = torch.rand(2, 32).bfloat16() * 0.01
    zero = torch.randn(2, 32).bfloat16() * 0.01
    value = _int4_row_dequantize_zp(codes, scale.float(), zero.float(), 32).bfloat16()
    int4 = Int4Tensor(packed, scale, zero, [1, 32], torch.Size([32, 64]))
    put("self_attn.o_proj", attention.o_proj, int4, value)
    intx = IntxUnpackedToInt8Tensor(
        torch.randint(-4, 4, (64, 32), dtype=torch.int8),
        torch.rand(64, 2).bfloat16() * 0.01,
        torch.randn(64, 2).bfloat16(),
        torch.int3,
        [1, 16],
        torch.bfloat16,
        None,
    )
    put("mlp.gate_proj", mlp.gate_proj, intx)
    put("mlp.up_proj", mlp.up_proj, NVFP4Tensor.to_nvfp4(hp(mlp.up_proj)))
    mx = MXTensor.to_mx(hp(mlp.down_proj), torch.float8_e5m2)
    put("mlp.down_proj", mlp.down_proj, mx)
    return expected


def make_torchao_case(base, out, config):
    from torchao.quantization import Int8WeightOnlyConfig
    from torchao.utils import TorchAOBaseTensor
    from transformers import AutoModelForCausalLM, TorchAoConfig

    by_hand = config is None
    options = dict(modules_to_not_convert=["model", "lm_head"]) if by_hand else {}
    model = AutoModelForCausalLM.from_pretrained(
        base,
        quantization_config=TorchAoConfig(config or Int8WeightOnlyConfig(), **options),
        dtype=torch.bfloat16,
        device_map="cpu",
    )
    if by_hand:
        expected = set_by_hand(model)
    else:
        expected = {
            name: value.dequantize()
            for name, value in model.state_dict().items()
            if isinstance(value, TorchAOBaseTensor)
        }
    shutil.rmtree(out, ignore_errors=True)
    model.save_pretrained(out, max_shard_size="8KB" if by_hand else "1GB")
    (out / "generation_config.json").unlink(missing_ok=True)
    write_expected(out, {name: expectation(value) for name, value in expected.items()})


def main():
    out = Path(sys.argv[1]).resolve()
    names = sys.argv[2:]
    with tempfile.TemporaryDirectory() as work:
        base, small, tied = (Path(work) / name for name in ("base", "small", "tied"))
        make_base(base)
        make_base(small, **SMALL)
        make_base(tied, **SMALL, tie_word_embeddings=True)
        if not names or any(name.startswith("torchao") for name in names):
            for name, config in torchao_cases().items():
                if not names or name in names:
                    make_torchao_case(small if config else tied, out / name, config)
        if not names or not all(name.startswith("torchao") for name in names):
            for name, options in gptq_cases().items():
                if not names or name in names:
                    make_gptq_case(base, out / name, options)


main()
