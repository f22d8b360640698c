#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the libraries make of small matrices in every quantisation scheme, for tests/unit/quant.

    python3 tests/oracles/quant_values.py > golden/values/quant_schemes.json

The libraries are called by tests/live/quant_*.py, which also compare larger matrices; nothing here comes
from loraproof. Numbers are the hexadecimal bytes of little-endian arrays. Of larger matrices, which the
test makes as `larger` and `in_tiles` do, there are digests; in those of values -0 is 0.
"""
import hashlib
import importlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "live"))
DTYPES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
MODULES = ("quant_bitsandbytes", "quant_compressed_tensors", "quant_transformers", "quant_ggml")


def inputs():
    normal = torch.Generator().manual_seed(11)
    mixed = torch.randn(2, 256, generator=normal) * 0.02
    mixed[0, 100] = 0.9  # an outlier
    mixed[0, 128:192] = 0
    mixed[1, :64] = 0.03125
    mixed[1, 64:128] = mixed[1, 64:128].abs() + 0.01
    row = torch.randn(1, 256, generator=normal) * 3
    odd = torch.randn(3, 96, generator=normal) * 0.1
    return {"mixed": mixed.bfloat16(), "row": row.half(), "short rows": odd}


def larger(dtype):
    """[128, 512]: sums of three 12-bit numbers of a congruential generator, row r times 2^(r * 7 % 5 - 2)."""
    state, values = 1, []
    for row in range(128):
        for _ in range(512):
            total = 0
            for _ in range(3):
                state = (state * 1664525 + 1013904223) % 2**32
                total += state >> 20
            values.append((total - 6143) / 65536 * 2.0 ** (row * 7 % 5 - 2))
    return torch.tensor(values, dtype=torch.float32).reshape(128, 512).to(dtype)


def in_tiles(matrix):
    """[128, 256]: the two rows repeated, row r times 2^(r * 7 % 5 - 2)."""
    rows = [matrix[r % 2] * 2.0 ** (r * 7 % 5 - 2) for r in range(128)]
    return torch.stack(rows)


def hexadecimal(tensor):
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes().hex()


def digest(tensor):
    return "sha256:" + hashlib.sha256(bytes.fromhex(hexadecimal(tensor))).hexdigest()


def case(oracle, name, weight):
    try:
        result = oracle(weight.clone())
    except ValueError:
        return {"input": name, "refused": True}
    large = weight.numel() > 1024
    known = {"input": name, "dtype": DTYPES[result["values"].dtype], "bytes": result["bytes"]}
    for part in ("codes", "values", "scales", "scale_codes", "zeros", "tensor_scales"):
        if part in result and large:
            known[part] = digest(result[part] + 0.0 if part == "values" else result[part])
        elif part in result:
            known[part] = hexadecimal(result[part])
    if result.get("stored_as"):
        known["stored_as"] = result["stored_as"]
    return known


def main():
    schemes = {}
    for module in MODULES:
        schemes |= importlib.import_module(module).SCHEMES
    matrices = inputs()
    large = {"larger BF16": larger(torch.bfloat16), "larger F32": larger(torch.float32)}
    cases = {}
    for scheme, oracle in schemes.items():
        chosen = matrices | large
        if scheme == "fp8-block":
            chosen["in tiles"] = in_tiles(matrices["mixed"])
        cases[scheme] = [case(oracle, name, weight) for name, weight in chosen.items()]
    packages = ("torch", "bitsandbytes", "compressed-tensors", "transformers", "gguf")
    document = {
        "made_by": "tests/oracles/quant_values.py: " + ", ".join(f"{p} {version(p)}" for p in packages)
                   + ", ggml of llama_cpp_python 0.3.36",
        "inputs": {name: {"rows": weight.shape[0], "columns": weight.shape[1], "dtype": DTYPES[weight.dtype],
                          "values": hexadecimal(weight)} for name, weight in matrices.items()},
        "schemes": cases,
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
