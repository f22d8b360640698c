#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the simulated quantisation schemes with the libraries that they follow, on CPU: codes,
scales, zero points, dequantised values and bytes of many matrices in each type of weights.

    quant_live.py --probe PROBE --work FOLDER [--scheme NAME]... [--bench]
"""

import argparse
import importlib
import json
import subprocess
from pathlib import Path

import numpy as np
import torch

from live_support import Tally, fresh_folder, generator, skip

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
ORACLES = ("quant_bitsandbytes", "quant_compressed_tensors", "quant_transformers", "quant_ggml")


def matrices():
    """name -> float64 matrix. Columns are a multiple of 256 unless the name says otherwise."""
    def normal(name, *shape):
        return torch.randn(*shape, generator=generator(name), dtype=torch.float64)

    plain = normal("plain", 48, 512) * 0.02
    zero_rows = normal("zero rows", 20, 256) * 0.1
    zero_rows[3] = 0
    zero_rows[7:9] = 0
    zero_rows[12, :128] = 0
    zero_rows[13, 1:] = 0
    outliers = normal("outliers", 24, 512) * 0.02
    outliers[::5, ::67] *= 300
    outliers[2, 5] = 40
    constants = torch.linspace(-2, 2, 16, dtype=torch.float64)[:, None].expand(16, 256).clone()
    constants[1] = 1
    constants[2] = -1
    constants[3, ::2] *= -1
    one_sided = normal("one-sided", 16, 512).abs() * 0.05 + 0.01
    one_sided[8:] *= -1
    grid = torch.randint(-48, 49, (32, 256), generator=generator("grid")).double() / 8
    grid[:, 0] = 6
    tiny = normal("tiny", 16, 256) * torch.logspace(-46, -30, 16, dtype=torch.float64)[:, None]
    spread = normal("spread", 32, 256) * torch.logspace(-8, 4, 32, dtype=torch.float64)[:, None]
    spread *= torch.logspace(-3, 0, 256, dtype=torch.float64)
    large = normal("large", 16, 256) * 2e4
    huge = normal("huge", 8, 256) * 1e37  # infinite in F16: not compared there
    return {
        "plain": plain, "zero rows": zero_rows, "outliers": outliers, "constants": constants,
        "one-sided": one_sided, "grid": grid, "tiny": tiny, "spread": spread, "large": large,
        "huge": huge, "all zero": torch.zeros(4, 256, dtype=torch.float64),
        "one row": normal("one row", 1, 768),
        "tall (odd)": normal("tall", 131, 96) * 0.3,
        "odd": normal("odd", 37, 77) * 0.02,
        "column (odd)": normal("column", 65, 1),
        "one value (odd)": torch.full((1, 1), -0.3, dtype=torch.float64),
    }


def tiled(matrix):
    """The matrix repeated to whole tiles of 128 x 128."""
    rows, columns = ((side + 127) // 128 * 128 for side in matrix.shape)
    repeats = -(-rows // matrix.shape[0]), -(-columns // matrix.shape[1])
    return matrix.repeat(repeats)[:rows, :columns].contiguous()


def matrices_for(scheme):
    chosen = matrices()
    if scheme == "fp8-block":
        chosen |= {f"{name}, in tiles": tiled(matrix) for name, matrix in chosen.items()}
    return chosen


class Probe:
    def __init__(self, path, work):
        self.work = work
        self.process = subprocess.Popen(
            [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def quantise(self, scheme, weight, block_rows, bench=False):
        dtype = next(name for name, torch_type in DTYPES.items() if torch_type == weight.dtype)
        source, prefix = self.work / "input", self.work / "output"
        source.write_bytes(weight.contiguous().view(torch.uint8).numpy().tobytes())
        answer = self.ask({
            "scheme": scheme, "dtype": dtype, "rows": weight.shape[0], "columns": weight.shape[1],
            "input": str(source), "output": str(prefix), "block_rows": block_rows, "bench": bench})
        if "error" in answer or bench:
            return answer

        def part(name, kind):
            return torch.from_numpy(np.fromfile(f"{prefix}.{name}", dtype=kind).copy())

        answer |= {"codes": part("codes", np.uint8), "scales": part("scales", np.float32),
                   "scale_codes": part("scale_codes", np.uint8), "zeros": part("zeros", np.int8)}
        raw = part("values", np.uint8)
        answer["values"] = raw.view(DTYPES[answer["dtype"]]).reshape(weight.shape)
        answer["tensor_scales"] = torch.tensor(answer["tensor_scales"], dtype=torch.float32)
        return answer


def differing(ours, theirs):
    """Number of elements that differ; of floats: in value, NaN equal to NaN."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return f"{list(ours.shape)} {ours.dtype} for {list(theirs.shape)} {theirs.dtype}"
    if not ours.dtype.is_floating_point:
        return int((ours != theirs).sum())
    return int(((ours != theirs) & ~(ours.isnan() & theirs.isnan())).sum())


def compare(ours, theirs):
    """What of a scheme's result is not the library's: {part: number of elements}."""
    wrong = {}
    for part, expected in theirs.items():
        if part in ("bytes", "stored_as", "overflowed"):
            count = 0 if ours[part] == expected else f"{ours[part]} for {expected}"
        elif part == "values":
            count = differing(ours["values"], expected)
        else:
            expected = expected.flatten()
            if part in ("codes", "scale_codes"):
                expected = expected.view(torch.uint8)
            count = differing(ours[part], expected)
        if count:
            wrong[part] = count
    return wrong


def check_scheme(tally, probe, scheme, oracle):
    compared = refused = 0
    names = set()
    wrong = []
    for name, matrix in matrices_for(scheme).items():
        for label, dtype in DTYPES.items():
            weight = matrix.to(dtype)
            if not weight.isfinite().all():
                continue
            try:
                theirs = oracle(weight.clone())
            except ValueError as error:  # the library refuses this shape: so do we
                ours = probe.quantise(scheme, weight, 1000)
                refused += 1
                if "error" not in ours:
                    wrong.append(f"{name} {label}: not refused as by the library ({error})")
                continue
            for block_rows in (1000, 3):
                ours = probe.quantise(scheme, weight, block_rows)
                if "error" in ours:
                    wrong.append(f"{name} {label}: {ours['error']}")
                    continue
                compared += 1
                names.add(name)
                different = compare(ours, theirs)
                if different:
                    wrong.append(f"{name} {label} in blocks of {block_rows}: {different}")
    tally.check(f"{scheme} equals its library", not wrong and len(names) >= 8,
                f"{len(names)} matrices, {compared} comparisons, {refused} refused by both; " + "; ".join(wrong[:12]))


def check_means(tally, probe, own_mean):
    """Double quantisation with torch's own mean of the scales, a sum in float32: how far does that lead?"""
    for quant_type in ("nf4", "fp4"):
        codes = values = of_values = 0
        largest = 0.0
        for name, matrix in matrices().items():
            if name == "huge":  # there torch's sum is infinite
                continue
            for dtype in DTYPES.values():
                weight = matrix.to(dtype)
                if not weight.isfinite().all():
                    continue
                ours = probe.quantise(f"{quant_type}-dq", weight, 1000)
                theirs = own_mean(quant_type)(weight)
                codes += differing(ours["scale_codes"], theirs["scale_codes"].flatten())
                values += differing(ours["values"], theirs["values"])
                of_values += weight.numel()
                distance = (ours["values"].double() - theirs["values"].double()).abs().max()
                largest = max(largest, float(distance / weight.double().abs().max().clamp(min=1e-300)))
        tally.check(f"{quant_type}-dq with torch's mean", codes == 0 and largest < 1e-6,
                    f"{codes} codes of scales, {values} of {of_values} values differ, "
                    f"by up to {largest:.1e} of the largest")


def bench(probe, schemes):
    weight = torch.randn(4096, 4096, generator=generator("bench")).mul(0.02).bfloat16()
    for scheme in schemes:
        answer = probe.quantise(scheme, weight, 256, bench=True)
        print(f"{scheme:<12} {answer['seconds']:.3f} s for 4096 x 4096 BF16, one thread", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--probe", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scheme", action="append")
    parser.add_argument("--bench", action="store_true")
    arguments = parser.parse_args()
    oracles = {}
    for module in ORACLES:
        try:
            oracles |= importlib.import_module(module).SCHEMES
        except ImportError as error:
            return skip(f"{error}: scripts/bootstrap with LORAPROOF_ORACLES=1 installs the libraries")
    probe = Probe(arguments.probe, fresh_folder(arguments.work))
    names = probe.ask({"schemes": True})
    chosen = arguments.scheme or names
    if arguments.bench:
        return bench(probe, chosen)
    tally = Tally()
    if not arguments.scheme:
        tally.check("every scheme has a library to compare with", set(names) == set(oracles),
                    str(set(names) ^ set(oracles)))
    for scheme in chosen:
        if scheme in oracles:
            check_scheme(tally, probe, scheme, oracles[scheme])
    if "nf4-dq" in chosen:
        check_means(tally, probe, importlib.import_module("quant_bitsandbytes").own_mean)
    return tally.finish()


if __name__ == "__main__":
    raise SystemExit(main())
