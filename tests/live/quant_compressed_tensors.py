# SPDX-License-Identifier: Apache-2.0
"""What compressed-tensors stores and gives back on CPU, as quant_live.py compares it: scales by its
calculate_qparams from the least and largest values, then its compressors."""

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationScheme, preset_name_to_scheme
from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam


def preset(name, **changes):
    """A preset of the library with other settings of its weights."""
    scheme = preset_name_to_scheme(name, ["Linear"])
    weights = scheme.weights.model_dump() | changes
    return QuantizationScheme(targets=["Linear"], weights=weights, input_activations=scheme.input_activations)


def edges(weight, args):
    """Least and largest value of what shares a scale."""
    if args.strategy == "tensor":
        return torch.aminmax(weight)
    if args.strategy == "channel":
        return weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    if weight.shape[1] % args.group_size:
        raise ValueError(f"{weight.shape[1]} columns, groups of {args.group_size}")
    groups = weight.unflatten(1, (-1, args.group_size))
    return groups.amin(-1), groups.amax(-1)


def scaled(scheme, form):
    compressor = BaseCompressor.get_value_from_registry(form)

    def oracle(weight):
        args = scheme.weights
        scale, zero = calculate_qparams(*edges(weight, args), args)
        state = {"weight": weight, "weight_scale": scale}
        if not args.symmetric:
            state["weight_zero_point"] = zero
        stored = compressor.compress(dict(state), scheme)
        size = sum(tensor.nbytes for tensor in stored.values())
        codes = quantize(x=weight, scale=scale, zero_point=state.get("weight_zero_point"), args=args,
                         dtype=torch.int8 if args.type == "int" else torch.float8_e4m3fn)
        try:
            given = compressor.decompress(dict(stored), scheme)["weight"]
        except RuntimeError:  # its unpacking of zero points fails on some shapes with few rows
            given = dequantize(x_q=codes, scale=scale, zero_point=state.get("weight_zero_point"), args=args)
        result = {"codes": codes.view(torch.uint8), "scales": scale.float(), "values": given, "bytes": size}
        if not args.symmetric:
            result["zeros"] = zero
        if args.strategy == "tensor":
            result["tensor_scales"] = scale.float()
        return result

    return oracle


def fp4(scheme, form, factor):
    """E2M1 in groups; `factor`: the tensor has one of its own."""
    compressor = BaseCompressor.get_value_from_registry(form)

    def oracle(weight):
        args = scheme.weights
        least, largest = edges(weight, args)
        whole = generate_gparam(*torch.aminmax(weight)) if factor else None
        scale, _ = calculate_qparams(least, largest, args, global_scale=whole)
        state = {"weight": weight, "weight_scale": scale}
        if factor:
            state["weight_global_scale"] = whole
        stored = compressor.compress(state, scheme)
        size = sum(tensor.nbytes for tensor in stored.values())
        packed, scale_codes = stored["weight_packed"], stored["weight_scale"].view(torch.uint8)
        values = compressor.decompress(dict(stored), scheme)["weight"]
        codes = torch.stack([packed & 15, packed >> 4], dim=-1).flatten()
        assert unpack_fp4_from_uint8(packed, *weight.shape).shape == weight.shape
        result = {"codes": codes, "scale_codes": scale_codes, "values": values, "bytes": size}
        if factor:
            result |= {"scales": stored["weight_scale"].float() / whole, "tensor_scales": whole}
        return result

    return oracle


def int4(group, symmetric):
    return scaled(preset("W4A16", group_size=group, symmetric=symmetric), "pack-quantized")


SCHEMES = {
    "int8": scaled(preset("W8A16", strategy="channel", group_size=None), "pack-quantized"),
    "int8-w8a8": scaled(preset("INT8"), "int-quantized"),
    "int4": scaled(preset("W4A16_ASYM"), "pack-quantized"),
    "int4-sym": scaled(preset("W4A16"), "pack-quantized"),
    "fp8": scaled(preset("FP8", strategy="channel"), "naive-quantized"),
    "fp8-tensor": scaled(preset("FP8"), "naive-quantized"),
    "fp8-w8a8": scaled(preset("FP8_DYNAMIC"), "float-quantized"),
    "fp8-w8a8-static": scaled(preset("FP8"), "float-quantized"),
    "mxfp4": fp4(preset("MXFP4A16"), "mxfp4-pack-quantized", factor=False),
    "nvfp4": fp4(preset("NVFP4A16"), "nvfp4-pack-quantized", factor=True),
} | {f"int4-g{group}{'-sym' * symmetric}": int4(group, symmetric)
     for group in (32, 64, 128) for symmetric in (False, True)}
