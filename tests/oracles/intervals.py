#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Intervals and paired tests for tests/unit/stats: scipy's values, or numpy's from the papers' formulas.

    python3 tests/oracles/intervals.py > golden/values/intervals.json

exact_share    scipy.stats.binomtest(...).proportion_ci(method="exact")
mcnemar        scipy.stats.binomtest(lost, lost + gained, 0.5, alternative="greater").pvalue
excess         Agresti and Min (2005): 1/2 added to each cell of the 2 x 2 table, then Wald's interval
bootstrap      scipy.stats.bootstrap(..., method="percentile") with 200,000 resamples, so that its own
               error is small; ours has 2,000 and another generator, hence a tolerance in the test
smallest       1 - (1 - power)^(1/n), and scipy.stats.norm.ppf
"""
import json

import numpy
import scipy
from scipy import stats


def exact_share(successes, n, level):
    interval = stats.binomtest(successes, n).proportion_ci(level, method="exact")
    return {"successes": successes, "n": n, "level": level,
            "low": float(interval.low), "high": float(interval.high)}


def paired(lost, gained, n, level):
    p = 1.0 if lost == 0 else stats.binomtest(lost, lost + gained, 0.5, alternative="greater").pvalue
    table = numpy.array([n - lost - gained, lost, gained, 0], dtype=float)  # the unchanged together
    table[1:3] += 0.5
    total = n + 2.0
    share_lost, share_gained = table[1] / total, table[2] / total
    centre = share_lost - share_gained
    half = stats.norm.ppf((1 + level) / 2) * numpy.sqrt(
        (share_lost + share_gained - centre**2) / total)
    return {"lost": lost, "gained": gained, "n": n, "level": level, "p": float(p),
            "low": float(max(centre - half, -1)), "high": float(min(centre + half, 1))}


def bootstrap(rng, name, numerators, denominators):
    top, bottom = numpy.array(numerators), numpy.array(denominators)
    result = stats.bootstrap(
        (top, bottom), lambda a, b, axis: a.sum(axis) / b.sum(axis), n_resamples=200_000,
        paired=True, vectorized=True, batch=2000, method="percentile", random_state=rng)
    return {"name": name, "numerators": top.tolist(), "denominators": bottom.tolist(),
            "low": float(result.confidence_interval.low),
            "high": float(result.confidence_interval.high),
            "standard_error": float(result.standard_error)}


def smallest(n, power, alpha):
    return {"n": n, "power": power, "alpha": alpha, "share": float(1 - (1 - power) ** (1 / n)),
            "standard_errors": float(stats.norm.ppf(1 - alpha) + stats.norm.ppf(power))}


def main():
    rng = numpy.random.default_rng(11)
    ones = [1.0] * 40
    document = {
        "exact_share": [exact_share(k, n, level) for k, n, level in
                        [(40, 40, .95), (39, 40, .95), (0, 20, .95), (17, 20, .9), (1, 1, .95),
                         (500, 1000, .99), (999_999, 1_000_000, .95)]],
        "paired": [paired(*case) for case in
                   [(0, 0, 40, .95), (3, 0, 40, .95), (5, 0, 40, .95), (5, 4, 40, .95),
                    (0, 7, 40, .95), (40, 0, 40, .95), (200, 150, 1000, .9)]],
        "bootstrap": [
            bootstrap(rng, "normal mean", rng.normal(0.01, 0.004, 40).tolist(), ones),
            bootstrap(rng, "heavy tail", rng.pareto(2.5, 40).tolist(), ones),
            bootstrap(rng, "share of tokens", [20, 22, 0, 19, 21, 23, 20, 11, 22, 20] * 4,
                      [20, 22, 24, 19, 21, 23, 20, 22, 22, 20] * 4)],
        "smallest": [smallest(n, power, alpha) for n, power, alpha in
                     [(20, .8, .05), (40, .8, .05), (1, .8, .05), (1000, .95, .01)]],
        "meta": {"command": "python3 tests/oracles/intervals.py",
                 "numpy": numpy.__version__, "scipy": scipy.__version__}}
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
