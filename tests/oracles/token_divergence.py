#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The statistics of llama.cpp's --kl-divergence in numpy float64, for tests/unit/stats.

Logits follow from a rule that the test repeats (no stored matrices): integers of a linear congruence, scaled.

    python3 tests/oracles/token_divergence.py > golden/values/token_divergence.json
"""
import json

import numpy
from scipy.special import log_softmax

VOCABULARY, PROMPTS, ROWS = 257, 5, (3, 7, 1, 12, 4)


def numbers(seed, count):
    """x' = 1664525 x + 1013904223 mod 2^32, as float32 in [-1, 1)."""
    values, x = numpy.empty(count, numpy.float32), seed
    for i in range(count):
        x = (1664525 * x + 1013904223) % 2**32
        values[i] = numpy.float32((x >> 8) / 2.0**23 - 1)
    return values


def percentile(values, fraction):
    place = fraction * (len(values) - 1)
    below = int(place)
    part = place - below
    return (1 - part) * values[below] + part * values[min(below + 1, len(values) - 1)]


def percentiles(values):
    values = numpy.sort(values)
    return [percentile(values, f) for f in (0, .01, .05, .1, .5, .9, .95, .99, .999, 1)]


def mean(values, prompt):
    n = len(values)
    value = values.mean()
    token = numpy.sqrt(((values**2).mean() - value**2) / (n - 1))
    sums = numpy.array([(values[prompt == p] - value).sum() for p in numpy.unique(prompt)])
    groups = len(sums)
    return {"value": value, "token_error": token, "error": numpy.sqrt((sums**2).sum() * groups / (groups - 1)) / n}


def case(noise):
    rows = sum(ROWS)
    base = numbers(7, rows * VOCABULARY).reshape(rows, -1) * numpy.float32(8)
    other = base + numbers(11, rows * VOCABULARY).reshape(rows, -1) * numpy.float32(noise)
    following = [(37 * i) % VOCABULARY for i in range(rows)]
    prompt = numpy.repeat(numpy.arange(PROMPTS), ROWS)
    log_p, log_q = (log_softmax(x.astype(numpy.float64), axis=1) for x in (base, other))
    kld = (numpy.exp(log_p) * (log_p - log_q)).sum(1)
    nll_base, nll = (-x[numpy.arange(rows), following] for x in (log_p, log_q))
    same = base.argmax(1) == other.argmax(1)
    delta_p = numpy.exp(-nll) - numpy.exp(-nll_base)
    return {"noise": noise, "ppl": numpy.exp(nll.mean()), "ppl_base": numpy.exp(nll_base.mean()),
            "correlation": numpy.corrcoef(nll, nll_base)[0, 1],
            "log_ratio": mean(nll - nll_base, prompt), "kld": mean(kld, prompt), "kld_percentiles": percentiles(kld),
            "delta_p": mean(delta_p, prompt), "delta_p_percentiles": percentiles(delta_p),
            "rms_delta_p": numpy.sqrt((delta_p**2).mean()), "same_top": mean(same.astype(float), prompt)}


def main():
    document = {"vocabulary": VOCABULARY, "rows": list(ROWS), "cases": [case(noise) for noise in (4.0, 0.5, 0.01)]}
    print(json.dumps(document, indent=1, default=float))


if __name__ == "__main__":
    main()
