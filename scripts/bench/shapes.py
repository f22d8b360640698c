#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what one sweep over models too large for the build machine reads, holds and takes, from measured rates.

    shapes.py --gflops 150 [--disk-gbs 2.1] [--look-gbs 0.6] [--tokens 2000] [--budget-gib 8]

Bytes and memory are exact sums over the shapes of the published configurations (BF16, memory as engine/memory_plan.h spends a
budget). Time is not measured. Reading and digests run beside the computation, so the longer of the two counts; norms of the
base's weights (effect.*) run in between, on the same cores as the computation:
    time = max(bytes / disk, flops / gflops) + bytes / look
--gflops: BF16 matrix products; --disk-gbs: reading a file that is not in the page cache; --look-gbs: weights through effect.*.
"""

import argparse

# hidden, FFN, layers, heads, KV heads, head size, vocabulary, tied head: config.json of the named model.
SHAPES = {
    "Llama 3.2 1B": (2048, 8192, 16, 32, 8, 64, 128256, True),
    "Llama 3.1 8B": (4096, 14336, 32, 32, 8, 128, 128256, False),
    "Qwen2.5 32B": (5120, 27648, 64, 40, 8, 128, 152064, False),
    "Llama 3.1 70B": (8192, 28672, 80, 64, 8, 128, 128256, False),
}
HEAD_PART_ROWS = 16384
BYTES = 2


def figures(shape, tokens, budget):
    hidden, ffn, layers, heads, kv_heads, head_dim, vocabulary, tied = shape
    q, kv = heads * head_dim, kv_heads * head_dim
    layer = BYTES * (hidden * (2 * q + 2 * kv + 3 * ffn) + 2 * hidden)
    head = BYTES * vocabulary * hidden
    total = layers * layer + (1 if tied else 2) * head + BYTES * hidden
    read = layers * layer + head + BYTES * hidden
    flops = 2.0 * tokens * (layers * hidden * (2 * q + 2 * kv + 3 * ffn) + vocabulary * hidden)
    least = max(2 * layer, BYTES * hidden * HEAD_PART_ROWS)
    held = total if total <= budget else max(least, min(budget, total))
    return total, read, least, held, flops


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gflops", type=float, required=True)
    parser.add_argument("--disk-gbs", type=float, default=2.1)
    parser.add_argument("--look-gbs", type=float, default=0.6)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--budget-gib", type=float, default=8)
    options = parser.parse_args()
    print(f"| model | weights GB | read per sweep GB | least for weights GB | with --memory {options.budget_gib:g}GiB | {options.tokens} tokens |")
    print("|---|---|---|---|---|---|")
    for name, shape in SHAPES.items():
        total, read, least, held, flops = figures(shape, options.tokens, options.budget_gib * 2**30)
        seconds = max(read / options.disk_gbs, flops / options.gflops) / 1e9 + read / options.look_gbs / 1e9
        kind = "resident" if total <= options.budget_gib * 2**30 else "streamed"
        print(f"| {name} | {total / 1e9:.1f} | {read / 1e9:.1f} | {least / 1e9:.2f} | {kind}, up to {held / 1e9:.1f} GB | {seconds / 60:.1f} min |")


main()
