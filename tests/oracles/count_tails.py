#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tails of the hypergeometric and the binomial distribution for tests/unit/stats, exact to 30 digits.

    python3 tests/oracles/count_tails.py > golden/values/count_tails.json      (some minutes)

The probability of the count itself is mpmath's, from loggamma at 80 digits. The tail is that times the
sum of the ratios of successive probabilities, which are fractions of whole numbers; they are summed in
whole numbers scaled by 2^220, so that no term is rounded by more than 2^-220. The other tail follows
from the total of 1. Nothing here approximates: at counts of 1e12 it takes millions of terms.
"""
import json
import math
from fractions import Fraction

import mpmath
from mpmath import mpf

mpmath.mp.dps = 80
SCALE = 1 << 220
NEGLIGIBLE = 1 << 90  # of SCALE: 2^-130


def log_choose(n, k):
    return mpmath.loggamma(n + 1) - mpmath.loggamma(k + 1) - mpmath.loggamma(n - k + 1)


def sum_of_ratios(ups, downs):
    """1 + r1 + r1 r2 + ... where the k-th ratio is product(ups) / product(downs); each up falls by 1 with
    every step and each down rises by 1. Fixed factors are passed as (value, 0)."""
    term, total = SCALE, SCALE
    while term > NEGLIGIBLE:
        up = down = 1
        for i, (value, step) in enumerate(ups):
            up *= value
            ups[i] = (value - step, step)
        for i, (value, step) in enumerate(downs):
            down *= value
            downs[i] = (value + step, step)
        term = term * up // down
        total += term
    return mpf(total) / SCALE


def from_outer(point, ratios, below):
    outer = point * ratios
    inner = 1 - outer + point
    lower, upper = (outer, inner) if below else (inner, outer)
    both = 2 * min(lower - point / 2, upper - point / 2)
    return {"point": float(point), "lower": float(lower), "upper": float(upper), "two_sided": float(both)}


def hypergeometric(total, marked, drawn, k):
    point = mpmath.exp(log_choose(marked, k) + log_choose(total - marked, drawn - k) - log_choose(total, drawn))
    neither = total - marked - drawn + k
    below = k * total <= marked * drawn
    if below:
        ratios = sum_of_ratios([(k, 1), (neither, 1)], [(marked - k + 1, 1), (drawn - k + 1, 1)])
    else:
        ratios = sum_of_ratios([(marked - k, 1), (drawn - k, 1)], [(k + 1, 1), (neither + 1, 1)])
    return {"total": total, "marked": marked, "drawn": drawn, "k": k, **from_outer(point, ratios, below)}


def binomial(n, p, k):
    exact = Fraction(p)
    hit, miss = exact.numerator, exact.denominator - exact.numerator
    point = mpmath.exp(log_choose(n, k) + k * mpmath.log(mpf(hit) / exact.denominator) +
                       (n - k) * mpmath.log(mpf(miss) / exact.denominator))
    below = k <= n * exact
    if below:
        ratios = sum_of_ratios([(k, 1), (miss, 0)], [(n - k + 1, 1), (hit, 0)])
    else:
        ratios = sum_of_ratios([(n - k, 1), (hit, 0)], [(k + 1, 1), (miss, 0)])
    return {"n": n, "p": p, "k": k, **from_outer(point, ratios, below)}


def counts_around(mean, deviation, least, most):
    counts = []
    for z in (-30, -8, -3, -1, 0, 1, 2, 5, 12, 30):
        k = round(mean + z * deviation)
        if least <= k <= most and k not in counts:
            counts.append(k)
    return counts


def hypergeometric_cases():
    for size in (10**2, 10**4, 10**6, 10**8, 10**10, 10**12):
        for total, drawn in ((2 * size, size), (size + size // 50, size // 50)):
            for marked in sorted({12, total // 100, total // 2}):
                mean = marked * drawn / total
                deviation = math.sqrt(mean * (1 - marked / total) * (1 - drawn / total))
                least, most = max(0, marked + drawn - total), min(marked, drawn)
                # Six sums of ten million terms would be hours of whole numbers; three are minutes.
                counts = counts_around(mean, deviation, least, most)
                for k in counts if deviation < 1e5 else counts[::3]:
                    yield hypergeometric(total, marked, drawn, k)
    yield hypergeometric(20, 10, 10, 0)  # the ends of the support
    yield hypergeometric(20, 10, 10, 10)
    yield hypergeometric(10100, 150, 100, 100)
    yield hypergeometric(10**6, 999_000, 500_000, 499_000)  # the least possible
    yield hypergeometric(2 * 10**6, 10**6, 10**6, 500_000 - 13_000)  # about 1e-294


def binomial_cases():
    for size in (10**2, 10**4, 10**6, 10**9, 10**12):
        for p in (0.5, 0.01, 1 / 3, 0.999, 12 / size):
            mean = size * p
            deviation = math.sqrt(mean * (1 - p))
            counts = counts_around(mean, deviation, 0, size)
            for k in counts[1::2] if deviation < 1e5 else counts[2::4]:
                yield binomial(size, p, k)
    yield binomial(10, 0.3, 0)
    yield binomial(10, 0.3, 10)
    yield binomial(10**6, 1e-12, 3)


def lines(cases):
    kept = [case for case in cases if min(case["lower"], case["upper"]) > 1e-300]
    return "[\n" + ",\n".join("  " + json.dumps(case) for case in kept) + "\n ]"


def main():
    meta = {"command": "python3 tests/oracles/count_tails.py", "mpmath": mpmath.__version__}
    print('{\n "hypergeometric": ' + lines(hypergeometric_cases()) +
          ',\n "binomial": ' + lines(binomial_cases()) +
          ',\n "meta": ' + json.dumps(meta) + "\n}")


if __name__ == "__main__":
    main()
