# SPDX-License-Identifier: Apache-2.0
"""What bitsandbytes stores and gives back on CPU, as quant_live.py compares it."""

import bitsandbytes.functional as bnb
import numpy as np
import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute


def dynamic_map():
    """create_dynamic_map() with torch.linspace as its vector code computes it, rounding once; torch
    without AVX2 has other last bits."""
    def linspace(count):
        start, end = np.float32(0.1), np.float32(1)
        step = (end - start) / np.float32(count - 1)
        up = [float(start) + float(step) * i for i in range(count // 2)]
        down = [float(end) - float(step) * (count - 1 - i) for i in range(count // 2, count)]
        return torch.tensor(up + down, dtype=torch.float64).float()

    levels = [0.0, 1.0]
    for exponent in range(7):
        edges = linspace(2**exponent + 1)
        means = 10 ** (exponent - 6) * ((edges[:-1] + edges[1:]) / 2.0)
        levels += means.tolist() + (-means).tolist()
    return torch.tensor(sorted(levels), dtype=torch.float32)


def dequantised(packed, state):
    """bitsandbytes' own device-independent dequantisation. Its CPU kernel for AVX512 with BF16 gives other values where blocks of
    64 don't divide the rows (it begins blocks anew with each row, which quantize_4bit doesn't), and other last bits elsewhere."""
    absmax = state.absmax
    if state.state2 is not None:
        absmax = bnb.dequantize_blockwise(absmax, state.state2) + state.offset
    eager = _dequantize_4bit_compute.__wrapped__  # without torch.compile
    return eager(packed.reshape(-1), absmax, state.code, state.blocksize, state.shape, state.dtype)


def four_bit(quant_type, double=False, offset=None):
    def oracle(weight):
        packed, state = bnb.quantize_4bit(weight, quant_type=quant_type, blocksize=64)
        codes = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], dim=1).flatten()[: weight.numel()]
        result = {"codes": codes, "scales": state.absmax}
        if double:
            # As quantize_4bit(compress_statistics=True), with the mean of the scales in float64: torch's
            # own sum of float32 depends on the machine. quant_live.py counts what that changes.
            mean = state.absmax.double().mean().float() if offset is None else offset(state.absmax)
            nested_codes, nested = bnb.quantize_blockwise(
                state.absmax - mean, code=dynamic_map(), blocksize=256)
            absmax = bnb.dequantize_blockwise(nested_codes, nested) + mean
            state = bnb.QuantState(
                absmax=nested_codes, shape=weight.shape, dtype=weight.dtype, blocksize=64,
                code=state.code, quant_type=quant_type, offset=mean, state2=nested)
            result |= {"scales": absmax, "scale_codes": nested_codes,
                       "tensor_scales": torch.cat([mean.reshape(1), nested.absmax])}
        values = dequantised(packed, state)
        # Everything but the JSON of names and sizes.
        size = packed.nbytes + state.absmax.nbytes
        if double:
            size += state.state2.absmax.nbytes + state.state2.code.nbytes + state.offset.nbytes
        return result | {"values": values.reshape(weight.shape), "bytes": size}

    return oracle


def llm_int8(weight):
    codes, scales, _ = bnb.int8_vectorwise_quant(weight.half())
    return {"codes": codes, "scales": scales, "values": bnb.int8_vectorwise_dequant(codes, scales),
            "bytes": codes.nbytes + scales.nbytes}


SCHEMES = {
    "llm-int8": llm_int8,
    "nf4": four_bit("nf4"),
    "fp4": four_bit("fp4"),
    "nf4-dq": four_bit("nf4", double=True),
    "fp4-dq": four_bit("fp4", double=True),
}


def own_mean(quant_type):
    """bitsandbytes unchanged, with the mean as torch sums it on this machine."""
    return four_bit(quant_type, double=True, offset=lambda absmax: absmax.mean())
