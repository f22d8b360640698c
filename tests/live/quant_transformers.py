# SPDX-License-Identifier: Apache-2.0
"""What transformers and torch give, as quant_live.py compares it: FP8 by tiles, and plain casts."""

from types import SimpleNamespace

import torch
from transformers.integrations.finegrained_fp8 import Fp8Dequantize, Fp8Quantize


def fp8_block(weight):
    quantizer = SimpleNamespace(quantization_config=SimpleNamespace(weight_block_size=(128, 128), scale_fmt="float"))
    stored = Fp8Quantize(quantizer)._quantize_one("layer.weight", weight)
    if "layer.weight_scale_inv" not in stored:
        raise ValueError("left as it is")
    codes, scales = stored["layer.weight"], stored["layer.weight_scale_inv"]
    values = Fp8Dequantize(quantizer)._dequantize_one(codes, scales, output_dtype=weight.dtype)
    return {"codes": codes.view(torch.uint8), "scales": scales, "values": values,
            "bytes": codes.nbytes + scales.nbytes}


def cast(dtype):
    def oracle(weight):
        values = weight.to(dtype)
        return {"values": values, "codes": values.view(torch.uint8), "bytes": values.nbytes,
                "overflowed": int((values.isinf() & weight.isfinite()).sum())}

    return oracle


SCHEMES = {"fp8-block": fp8_block, "fp16": cast(torch.float16), "bf16": cast(torch.bfloat16)}
