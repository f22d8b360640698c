# SPDX-License-Identifier: Apache-2.0
"""torchao's checkpoints for candidate_live.py: models that transformers quantises and saves, and tensors of each class
with codes and scales of every kind, which torchao flattens. Expected is what dequantize() of the class gives."""

import json
import warnings

import torch
from candidate_support import Probe, compare, tiny_llama
from live_support import fresh_folder, generator, write_json
from safetensors.torch import save_file
from torchao.float8.inference import Float8MMConfig
from torchao.prototype.gptq.api import _int4_row_dequantize_zp
from torchao.prototype.mx_formats.inference_workflow import (
    MXDynamicActivationMXWeightConfig,
    NVFP4WeightOnlyConfig,
)
from torchao.prototype.mx_formats.mx_tensor import MXTensor
from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor, per_tensor_amax_to_scale
from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
from torchao.quantization import (
    Float8Tensor,
    Float8WeightOnlyConfig,
    Int4Tensor,
    Int8DynamicActivationInt8WeightConfig,
    Int8DynamicActivationIntxWeightConfig,
    Int8Tensor,
    Int8WeightOnlyConfig,
    IntxUnpackedToInt8Tensor,
    IntxWeightOnlyConfig,
    MappingType,
    PerAxis,
    PerGroup,
    PerRow,
    PerTensor,
)
from torchao.quantization.granularity import PerBlock
from torchao.quantization.quantize_.common import KernelPreference
from torchao.quantization.quantize_.workflows import QuantizeTensorToFloat8Kwargs
from torchao.quantization.quantize_.workflows.intx.intx_choose_qparams_algorithm import (
    IntxChooseQParamsAlgorithm,
)
from torchao.utils import TorchAOBaseTensor

FLOATS = (torch.bfloat16, torch.float16, torch.float32)


def model_configs():
    """label -> (configuration, types of the model, methods that candidate_probe must name)"""
    both = (torch.bfloat16, torch.float32)
    only = (torch.bfloat16,)
    fp4 = torch.float4_e2m1fn_x2
    group = PerGroup(32)
    return {
        "float8": (Float8WeightOnlyConfig(), both, {"float8 channel"}),
        "int8": (Int8WeightOnlyConfig(), FLOATS, {"int8 channel"}),
        "int8 tensor": (Int8WeightOnlyConfig(granularity=PerTensor()), both, {"int8 tensor"}),
        "int8 g32": (Int8WeightOnlyConfig(granularity=group), both, {"int8 g32"}),
        "int8 dynamic": (Int8DynamicActivationInt8WeightConfig(), both, {"int8 channel"}),
        "int8 dynamic asym": (
            Int8DynamicActivationInt8WeightConfig(act_mapping_type=MappingType.ASYMMETRIC),
            only,
            {"int8 channel"},
        ),
        "int8 reduced": (
            Int8DynamicActivationInt8WeightConfig(reduce_range=True),
            only,
            {"int8 channel"},
        ),
        "int4 g32": (
            IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=group),
            FLOATS,
            {"int4 g32"},
        ),
        "int4 asym": (
            IntxWeightOnlyConfig(
                weight_dtype=torch.int4, granularity=group, mapping_type=MappingType.ASYMMETRIC
            ),
            both,
            {"int4 g32"},
        ),
        "int2 hqq": (
            IntxWeightOnlyConfig(
                weight_dtype=torch.int2,
                granularity=group,
                intx_choose_qparams_algorithm=IntxChooseQParamsAlgorithm.HQQ_SCALE_ONLY,
            ),
            only,
            {"int2 g32"},
        ),
        "int3 rows": (
            IntxWeightOnlyConfig(weight_dtype=torch.int3, granularity=PerAxis(0)),
            only,
            {"int3 channel"},
        ),
        "int8 act, int4": (
            Int8DynamicActivationIntxWeightConfig(
                weight_dtype=torch.int4, weight_granularity=group, weight_scale_dtype=torch.float32
            ),
            only,
            {"int4 g32"},
        ),
        "nvfp4": (NVFP4WeightOnlyConfig(), both, {"nvfp4"}),
        "nvfp4 one scale": (
            NVFP4WeightOnlyConfig(use_dynamic_per_tensor_scale=False),
            only,
            {"nvfp4"},
        ),
        "mxfp8": (MXDynamicActivationMXWeightConfig(), only, {"mxfp8"}),
        "mxfp4": (
            MXDynamicActivationMXWeightConfig(activation_dtype=fp4, weight_dtype=fp4),
            only,
            {"mxfp4"},
        ),
    }


def dequantised(tensor):
    return tensor.dequantize() if isinstance(tensor, TorchAOBaseTensor) else tensor


def model_cases(tally, binary, work):
    from transformers import AutoModelForCausalLM, TorchAoConfig

    base = fresh_folder(work / "torchao-base")
    tiny_llama().save_pretrained(base)

    def quantised(config, dtype, **options):
        config = TorchAoConfig(config, **options)
        return AutoModelForCausalLM.from_pretrained(
            base, quantization_config=config, dtype=dtype, device_map="cpu"
        )

    def check(label, model, methods, **options):
        out = fresh_folder(work / "torchao")
        model.save_pretrained(out, **options)
        expected = {name: dequantised(value) for name, value in model.state_dict().items()}
        compare(tally, label, Probe(binary, out, work), expected, {f"torchao {m}" for m in methods})
        return out

    for label, (config, types, methods) in model_configs().items():
        for dtype in types:
            check(f"torchao {label} {str(dtype)[6:]}", quantised(config, dtype), methods)
    out = check(
        "torchao in shards",
        quantised(Int8WeightOnlyConfig(), torch.bfloat16),
        {"int8 channel"},
        max_shard_size="20KB",
    )
    shards = len(list(out.glob("model-*.safetensors")))
    tally.check("  shards", shards > 2, f"{shards}")
    everything = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))
    check(
        "torchao with embedding and head",
        quantised(everything, torch.bfloat16, include_input_output_embeddings=True),
        {"int4 g32"},
    )


def noise(name, *shape):
    """Rows of very different sizes, without rows of zeros."""
    rows = torch.logspace(-2, 1, shape[-2])[:, None]
    return torch.randn(shape, generator=generator(name)) * rows


def random_bytes(name, *shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(name))


def float8_tensors():
    for dtype in FLOATS:
        short = str(dtype)[6:]
        for label, shape, granularity in (
            ("rows", (48, 40), PerRow()),
            ("tensor", (48, 40), PerTensor()),
            ("blocks", (48, 40), PerBlock((16, 8))),
            ("groups", (48, 40), PerBlock((1, 8))),
            ("columns", (48, 40), PerRow(0)),
            ("stacked rows", (3, 16, 24), PerRow()),
            ("stacked columns", (3, 16, 24), PerRow(1)),
            ("stacked tensor", (3, 16, 24), PerTensor()),
            ("stacked blocks", (3, 16, 24), PerBlock((8, 8))),
        ):
            for code in (torch.float8_e4m3fn, torch.float8_e5m2):
                name = f"float8.{label}.{short}.{str(code)[13:17]}".replace(" ", "_")
                yield name, Float8Tensor.from_hp(
                    noise(name, *shape).to(dtype),
                    float8_dtype=code,
                    granularity=granularity,
                    kernel_preference=KernelPreference.TORCH,
                )
        inputs = QuantizeTensorToFloat8Kwargs(granularity=PerRow(), hp_value_ub=1200.0)
        name = f"float8.dynamic.{short}"
        yield name, Float8Tensor.from_hp(
            noise(name, 48, 40).to(dtype),
            granularity=PerRow(),
            kernel_preference=KernelPreference.TORCH,
            mm_config=Float8MMConfig(use_fast_accum=True),
            act_quant_kwargs=inputs,
        )
        for code in (torch.float8_e4m3fn, torch.float8_e5m2):
            codes = torch.arange(256, dtype=torch.uint8).view(code).reshape(4, 64)
            scale = torch.tensor([[0.37], [3e-5], [1.7e38], [2.9e-39]])
            name = f"float8.codes.{short}.{str(code)[13:17]}"
            yield name, Float8Tensor(codes, scale, [1, 64], dtype=dtype)
            yield name + ".unsaid", Float8Tensor(codes, scale[:, :1].to(torch.bfloat16), dtype=dtype)
            yield name + ".one", Float8Tensor(codes, torch.tensor(0.1), [], dtype=dtype)


def int8_tensors():
    for dtype in FLOATS:
        short = str(dtype)[6:]
        for label, shape, granularity in (
            ("rows", (48, 40), PerRow()),
            ("tensor", (48, 40), PerTensor()),
            ("groups", (48, 40), PerGroup(8)),
            ("stacked", (3, 16, 24), PerRow()),
        ):
            for mapping in (MappingType.SYMMETRIC, MappingType.ASYMMETRIC):
                name = f"int8.{label}.{mapping.name.lower()}.{short}"
                weight = (noise(name, *shape) + 0.4).to(dtype)
                yield name, Int8Tensor.from_hp(weight, granularity, mapping_type=mapping)
        codes = random_bytes("int8" + short, 32, 24).view(torch.int8)
        zeros = random_bytes("zeros" + short, 32, 3).view(torch.int8)
        for scale_type in FLOATS:
            scale = torch.rand(32, 3, generator=generator("s")).to(scale_type)
            name = f"int8.scale_{str(scale_type)[6:]}.{short}"
            yield name, Int8Tensor(codes, scale, [1, 8], dtype, zero_point=zeros)
            yield name + ".without_zeros", Int8Tensor(codes, scale, [1, 8], dtype)
            yield name + ".flat", Int8Tensor(codes, scale[:, 0], [1, 24], dtype, zero_point=zeros[:, 0])
            yield name + ".static", Int8Tensor(
                codes,
                scale,
                [1, 8],
                dtype,
                act_quant_scale=torch.tensor([[0.5]]),
                act_quant_zero_point=torch.tensor([[0]], dtype=torch.int8),
            )


def intx_tensors():
    for dtype in FLOATS:
        short = str(dtype)[6:]
        for bits in range(1, 9):
            for mapping in (MappingType.SYMMETRIC, MappingType.ASYMMETRIC):
                name = f"intx.int{bits}.{mapping.name.lower()}.{short}"
                yield name, IntxUnpackedToInt8Tensor.from_hp(
                    (noise(name, 48, 40) - 0.3).to(dtype),
                    (1, 8),
                    getattr(torch, f"int{bits}"),
                    mapping_type=mapping,
                )
        codes = random_bytes("intx" + short, 32, 24).view(torch.int8)
        for zero_type in (*FLOATS, torch.int8):
            for scale_type in FLOATS:
                zero = (torch.randn(4, 3, generator=generator("z")) * 30).to(zero_type)
                scale = torch.randn(4, 3, generator=generator("s")).to(scale_type)
                name = f"intx.zero_{str(zero_type)[6:]}.scale_{str(scale_type)[6:]}.{short}"
                yield name, IntxUnpackedToInt8Tensor(
                    codes, scale, zero, torch.int8, [8, 8], dtype, None
                )


def signed_nibbles(packed):
    low = (packed << 4).view(torch.int8) >> 4
    high = packed.view(torch.int8) >> 4
    return torch.stack([low, high], -1).flatten(-2)


def int4_tensors():
    """(name, tensor, expected): the class has no dequantize(), GPTQ's reference in torchao has."""
    for dtype in FLOATS:
        for stack in ((), (3,)):
            packed = random_bytes("int4", *stack, 48, 32)
            scale = torch.rand(*stack, 4, 48, generator=generator("s")).to(dtype) * 0.1
            zero = torch.randn(*stack, 4, 48, generator=generator("z")).to(dtype)
            block = [1] * len(stack) + [1, 16]
            shape = torch.Size([*stack, 48, 64])
            matrices = [
                _int4_row_dequantize_zp(signed_nibbles(p), s.float(), z.float(), 16)
                for p, s, z in zip(
                    packed.reshape(-1, 48, 32), scale.reshape(-1, 4, 48), zero.reshape(-1, 4, 48)
                )
            ]
            expected = torch.stack(matrices).reshape(shape).to(dtype)
            name = f"int4.{len(stack)}.{str(dtype)[6:]}"
            tensor = Int4Tensor(packed.view(torch.int8), scale, zero, block, shape)
            yield name, tensor, expected


def nvfp4_tensors():
    for dtype in FLOATS:
        short = str(dtype)[6:]
        for swizzled in (False, True) if dtype != torch.float16 else ():
            for shape in ((48, 64), (200, 176), (128, 64), (3, 128, 80), (1, 40, 32)):
                name = f"nvfp4.{'x'.join(map(str, shape))}.{swizzled}.{short}"
                weight = noise(name, *shape)
                whole = [None, per_tensor_amax_to_scale(weight.abs().max())]
                if len(shape) == 3:
                    largest = weight.abs().amax((1, 2))
                    whole.append(per_tensor_amax_to_scale(largest).view(-1, 1, 1))
                for i, scale in enumerate(whole):
                    yield f"{name}.{i}", NVFP4Tensor.to_nvfp4(
                        weight.to(dtype), per_tensor_scale=scale, is_swizzled_scales=swizzled
                    )
        codes = random_bytes("nvfp4", 160, 32)
        scale = random_bytes("scales", 160, 4).view(torch.float8_e4m3fn)
        yield f"nvfp4.codes.{short}", NVFP4Tensor(
            codes,
            scale,
            16,
            dtype,
            per_tensor_scale=torch.tensor(3.1e-4),
            act_per_tensor_scale=torch.tensor(0.5),
        )


def mx_tensors():
    for dtype in (torch.bfloat16, torch.float32):
        short = str(dtype)[6:]
        for code in (torch.float8_e4m3fn, torch.float8_e5m2, torch.float4_e2m1fn_x2):
            for swizzled in (False, True):
                for shape in ((48, 64), (200, 416), (3, 128, 96)):
                    name = f"mx.{str(code)[6:]}.{'x'.join(map(str, shape))}.{swizzled}.{short}"
                    weight = noise(name, *shape).to(dtype)
                    yield name, MXTensor.to_mx(weight, code, is_swizzled_scales=swizzled)
    for dtype in FLOATS:
        exponents = torch.arange(256, dtype=torch.uint8).view(torch.float8_e8m0fnu).reshape(64, 4)
        for code in (torch.float8_e4m3fn, torch.float8_e5m2, torch.float4_e2m1fn_x2):
            packed = code == torch.float4_e2m1fn_x2
            codes = random_bytes("mx", 64, 64 if packed else 128)
            name = f"mx.codes.{str(code)[6:]}.{str(dtype)[6:]}"
            yield name, MXTensor(
                codes if packed else codes.view(code),
                exponents,
                code,
                32,
                dtype,
                KernelPreference.EMULATED,
                None,
                False,
            )


def write_folder(folder, tensors):
    """A checkpoint with these tensors, as torchao flattens them."""
    flat, metadata = flatten_tensor_state_dict(tensors)
    config = {"model_type": "llama", "quantization_config": {"quant_method": "torchao"}}
    write_json(folder / "config.json", config)
    flat = {name: value.contiguous() for name, value in flat.items()}
    save_file(flat, folder / "model.safetensors", metadata | {"format": "pt"})
    return metadata


def tensor_cases(tally, binary, work):
    for label, makers in (
        ("Float8Tensor", float8_tensors),
        ("Int8Tensor", int8_tensors),
        ("IntxUnpackedToInt8Tensor", intx_tensors),
        ("Int4Tensor", int4_tensors),
        ("NVFP4Tensor", nvfp4_tensors),
        ("MXTensor", mx_tensors),
    ):
        tensors, expected = {"norm.weight": torch.ones(4)}, {"norm.weight": torch.ones(4)}
        for name, tensor, *known in makers():
            tensors[f"{name}.weight"] = tensor
            expected[f"{name}.weight"] = known[0] if known else tensor.dequantize()
        folder = fresh_folder(work / "torchao")
        metadata = write_folder(folder, tensors)
        types = {json.loads(text)["_type"] for name, text in metadata.items() if name in tensors}
        compare(tally, f"torchao {label}", Probe(binary, folder, work), expected)
        tally.check(f"  class {label}", types == {label, "Tensor"}, str(sorted(types)))


def torchao_cases(tally, binary, work):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensor_cases(tally, binary, work)
        model_cases(tally, binary, work)
