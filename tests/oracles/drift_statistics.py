#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drift statistics for tests/unit/stats, from rows of data rather than from sums wherever that is another
way to the same number.

    python3 tests/oracles/drift_statistics.py > golden/values/drift_statistics.json

multiple    scipy.stats.false_discovery_control, statsmodels' multipletests("holm"); the e-value as the
            integral of kappa p^(kappa - 1) over kappa by mpmath
scan        scipy.stats.hypergeom tails, false_discovery_control, scipy.stats.norm
sketch      numpy.cov of the rows, scipy.stats.chi2
divergence  mpmath sums; scipy.stats.entropy and scipy.spatial.distance.jensenshannon agree with them
groups      numpy.cov of the rows and products of matrices
vocabulary  Evidently's fill and formulas, restated; expectations by scipy.stats.binom over all splits
ratio       residuals of the rows, with a ratio each and with the pooled one; means: scipy.stats.ttest_ind(equal_var=False)
categories  scipy.stats.chi2_contingency(correction=False), scipy.stats.hypergeom for the exact one
"""
import json

import mpmath
import numpy
import scipy
import statsmodels
from scipy import stats
from scipy.spatial.distance import jensenshannon
from statsmodels.stats.multitest import multipletests

mpmath.mp.dps = 50


# ---- many tests ------------------------------------------------------------------------------------

def corrections(name, p):
    p = numpy.array(p, dtype=float)
    return {"name": name, "p": p.tolist(),
            "benjamini_hochberg": stats.false_discovery_control(p, method="bh").tolist(),
            "holm": multipletests(p, method="holm")[1].tolist()}


def e_value(p):
    integral = mpmath.quad(lambda kappa: kappa * mpmath.mpf(p) ** (kappa - 1),
                           [0, 0.001, 0.01, 0.1, 0.5, 1])
    return {"p": p, "e": float(integral)}


def coverage(difference, error, alpha, selected, tests):
    return {"difference": difference, "standard_error": error, "alpha": alpha, "selected": selected,
            "tests": tests,
            "bound": float(abs(difference) - stats.norm.isf(alpha * selected / (2 * tests)) * error)}


def multiple(rng):
    return {
        "corrections": [
            corrections("mixed", [0.01, 0.04, 0.03, 0.005, 0.5, 1.0, 0.2, 1e-12]),
            corrections("ties", [0.02, 0.02, 0.02, 0.5, 0.5]),
            corrections("one", [0.3]),
            corrections("all one", [1.0] * 5),
            corrections("zeros", [0.0, 0.0, 0.7]),
            corrections("many", (rng.random(200) ** 3).tolist())],
        "e_values": [e_value(p) for p in (1.0, 0.9999999, 0.995, 0.99, 0.5, 0.05, 1e-3, 1e-12, 1e-100)],
        "bounds": [coverage(*case) for case in
                   [(0.2, 0.03, .05, 1, 1), (-0.2, 0.03, .05, 3, 100), (0.01, 0.02, .1, 1, 100_000),
                    (1.0, 0.0, .05, 5, 10)]],
        "levels": [{"alpha": a, "k": k, "level": float(6 * a / (numpy.pi * k) ** 2)}
                   for a, k in [(.05, 1), (.05, 2), (.01, 365)]]}


# ---- document frequencies ----------------------------------------------------------------------------

def scan(name, a, n, b, m, alpha=0.05):
    a, b = numpy.array(a), numpy.array(b)
    kept = [t for t in range(len(a)) if n and m and (a[t] + b[t]) * min(n, m) / (n + m) >= 2.5]
    p, error = [], []
    for t in kept:
        law = stats.hypergeom(n + m, a[t] + b[t], m)
        middle = law.pmf(b[t]) / 2
        p.append(min(1.0, 2 * min(law.cdf(b[t] - 1) + middle, law.sf(b[t]) + middle)))
        x, y = a[t] / n, b[t] / m
        error.append(float(numpy.sqrt(x * (1 - x) / n + y * (1 - y) / m)))
    q = stats.false_discovery_control(p, method="bh") if kept else numpy.array([])
    found = [i for i in range(len(kept)) if q[i] <= alpha]
    bound = 0.0
    for i in found:
        t = kept[i]
        bound = max(bound, abs(b[t] / m - a[t] / n)
                    - stats.norm.isf(alpha * len(found) / (2 * len(kept))) * error[i])
    return {"name": name, "a": a.tolist(), "n": n, "b": b.tolist(), "m": m, "alpha": alpha,
            "tokens": kept, "p": [float(x) for x in p], "q": q.tolist(), "standard_error": error,
            "discoveries": len(found), "changed_share": float(bound)}


def scans(rng):
    shares = 1 / numpy.arange(2, 62)
    moved = shares.copy()
    moved[10:14] += 0.15
    return [
        scan("no drift", rng.binomial(400, shares), 400, rng.binomial(300, shares), 300),
        scan("four tokens moved", rng.binomial(1000, shares), 1000, rng.binomial(800, moved), 800),
        scan("small window, large reference", rng.binomial(10_000, shares), 10_000,
             rng.binomial(100, moved), 100),
        scan("disjoint vocabularies", [50, 40, 30, 0, 0, 0], 60, [0, 0, 0, 40, 30, 50], 60),
        scan("in every prompt", [60, 60, 30], 60, [60, 60, 30], 60),
        scan("empty window", [5, 10], 20, [0, 0], 0),
        scan("one prompt each", [1, 0, 1], 1, [0, 1, 1], 1),
        scan("nothing kept", [1, 2], 100, [1, 0], 100)]


# ---- sketches -----------------------------------------------------------------------------------------

def made_up(seed, n, d):
    """[n, d] in [-1, 1), the same in C++: a step of splitmix64 per entry."""
    mask, state, rows = (1 << 64) - 1, seed, []
    for _ in range(n * d):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        rows.append(((z ^ (z >> 31)) >> 11) / 2**52 - 1)
    return numpy.array(rows).reshape(n, d)


def unbiased_square_trace(v, n):
    f = n - 1
    eigenvalues = numpy.linalg.eigvalsh(v)
    return f * f / ((f + 2) * (f - 1)) * ((eigenvalues**2).sum() - eigenvalues.sum() ** 2 / f)


def shift_test(x, y):
    (n, d), m = x.shape, len(y)
    v1, v2 = (numpy.atleast_2d(numpy.cov(rows, rowvar=False)) for rows in (x, y))
    distance = float(((x.mean(0) - y.mean(0)) ** 2).sum())
    t1 = numpy.trace(v1) / n + numpy.trace(v2) / m
    t2 = (unbiased_square_trace(v1, n) / n**2 + unbiased_square_trace(v2, m) / m**2
          + 2 * numpy.trace(v1 @ v2) / (n * m))
    t2 = max(t2, t1 * t1 / d)
    nu = t1 * t1 / t2
    return {"squared_distance": distance, "expected": float(t1), "half_variance": float(t2),
            "degrees_of_freedom": float(nu), "p": float(stats.chi2.sf(distance * t1 / t2, nu)),
            "z": float((distance - t1) / numpy.sqrt(2 * t2))}


def sketches(rng):
    def rows(name, x, y):
        return {"name": name, "reference": x.tolist(), "window": y.tolist(), **shift_test(x, y)}
    mixing = rng.normal(size=(5, 5))
    constant = numpy.column_stack([rng.normal(size=12), numpy.full(12, 0.1)])
    return {
        "rows": [
            rows("correlated, no shift", rng.normal(size=(30, 5)) @ mixing, rng.normal(size=(20, 5)) @ mixing),
            rows("shifted", rng.normal(size=(40, 5)), rng.normal(size=(25, 5)) + 0.5),
            rows("three each", rng.normal(size=(3, 4)), rng.normal(size=(3, 4)) + 1),
            rows("one dimension", rng.normal(size=(9, 1)), rng.normal(size=(7, 1)) * 3 + 2),
            rows("a constant column", constant, constant[:7] + numpy.array([0.3, 0])),
            rows("far away", rng.normal(size=(50, 3)), rng.normal(size=(50, 3)) + 6)],
        "made_up": [{"seeds": [1, 2], "n": 60, "m": 50, "d": 256, "add": add,
                     **shift_test(made_up(1, 60, 256), made_up(2, 50, 256) + add)} for add in (0.0, 0.05)]}


# ---- shares -------------------------------------------------------------------------------------------

def divergence(p, q):
    """Sums in mpmath; infinite where a share is 0 on one side only."""
    total = {"psi": mpmath.mpf(0), "forth": mpmath.mpf(0), "back": mpmath.mpf(0), "js": mpmath.mpf(0),
             "tv": mpmath.mpf(0), "root": mpmath.mpf(0)}
    for x, y in zip(map(mpmath.mpf, p), map(mpmath.mpf, q)):
        middle = (x + y) / 2
        if x > 0:
            total["forth"] += x * mpmath.log(x / y) if y > 0 else mpmath.inf
            total["js"] += x * mpmath.log(x / middle, 2) / 2
        if y > 0:
            total["back"] += y * mpmath.log(y / x) if x > 0 else mpmath.inf
            total["js"] += y * mpmath.log(y / middle, 2) / 2
        total["tv"] += abs(x - y) / 2
        total["root"] += (mpmath.sqrt(x) - mpmath.sqrt(y)) ** 2 / 2
    forth, back = float(total["forth"]), float(total["back"])
    result = {"psi": forth + back, "kl_reference_window": forth, "kl_window_reference": back,
              "js_distance": float(mpmath.sqrt(total["js"])), "total_variation": float(total["tv"]),
              "hellinger": float(mpmath.sqrt(total["root"]))}
    if min(*p, *q) > 0 and result["total_variation"] > 1e-3:
        assert numpy.isclose(forth, stats.entropy(p, q), rtol=1e-8)
        assert numpy.isclose(result["js_distance"], jensenshannon(p, q, base=2), rtol=1e-8)
    return {key: value if numpy.isfinite(value) else None for key, value in result.items()}  # null: inf


def divergences(rng):
    def case(name, p, q):
        p, q = (numpy.array(x, dtype=float) / numpy.sum(x) for x in (p, q))
        return {"name": name, "p": p.tolist(), "q": q.tolist(), **divergence(p.tolist(), q.tolist())}
    base = rng.dirichlet([2] * 12)
    return [case("random", base, rng.dirichlet([2] * 12)),
            case("equal", [1, 2, 1, 4], [1, 2, 1, 4]),
            case("nearly equal", [1, 1, 1, 1], [1 + 2**-20, 1 - 2**-20, 1, 1]),
            case("disjoint", [1, 1, 0, 0], [0, 0, 3, 1]),
            case("empty on both", [1, 0, 3], [2, 0, 2]),
            case("empty in the window", [1, 2, 3], [1, 0, 3]),
            case("one group", [1], [1]),
            case("tiny shares", [1, 1e-12, 1e-9], [1, 1e-9, 1e-12])]


def groups(name, x, y, smoothing=0.5):
    (n, b), m = x.shape, len(y)
    p, q = ((rows.sum(0) + smoothing) / (len(rows) + smoothing * b) for rows in (x, y))
    result = {"name": name, "reference": x.tolist(), "window": y.tolist(), "smoothing": smoothing,
              "p": p.tolist(), "q": q.tolist(), "plain": divergence(p.tolist(), q.tolist())}
    if min(n, m) < 2:
        return {**result, "debiased": None}
    kept1, kept2 = n / (n + smoothing * b), m / (m + smoothing * b)
    v = (kept1**2 * numpy.atleast_2d(numpy.cov(x, rowvar=False)) / n
         + kept2**2 * numpy.atleast_2d(numpy.cov(y, rowvar=False)) / m)
    dinv = numpy.diag(1 / ((n * p + m * q) / (n + m)))
    raw = (x.sum(0) + y.sum(0)) / (n + m)
    shift = (kept1 - kept2) * (raw - 1 / b)
    expected = numpy.trace(dinv @ v) + shift @ dinv @ shift
    d = p - q
    error = numpy.sqrt(4 * d @ dinv @ v @ dinv @ d + 2 * numpy.trace(dinv @ v @ dinv @ v))
    plain = result["plain"]
    result["debiased"] = {
        "psi": plain["psi"] - expected,
        "kl_reference_window": plain["kl_reference_window"] - expected / 2,
        "kl_window_reference": plain["kl_window_reference"] - expected / 2,
        "psi_standard_error": error, "kl_standard_error": error / 2, "no_drift_psi": expected}
    if min(n, m) >= 3 and v.any():
        scale = numpy.where(raw > 0, 1 / numpy.sqrt(numpy.where(raw > 0, raw, 1)), 0)
        result["shift_test"] = shift_test(x * scale, y * scale)
    return result


def group_cases(rng):
    one_hot = numpy.eye(4)
    return [
        groups("no drift", rng.dirichlet([1] * 6, 40), rng.dirichlet([1] * 6, 30)),
        groups("drift", rng.dirichlet([1, 2, 3, 4], 50), rng.dirichlet([4, 3, 2, 1], 20)),
        groups("a large reference", rng.dirichlet([5, 1, .2], 200), rng.dirichlet([5, 1, .2], 5)),
        groups("one prompt", rng.dirichlet([1] * 3, 10), rng.dirichlet([1] * 3, 1)),
        groups("disjoint", numpy.tile([.5, .5, 0, 0], (5, 1)), numpy.tile([0, 0, .5, .5], (4, 1))),
        groups("categories", one_hot[rng.integers(0, 4, 30)], one_hot[rng.integers(0, 3, 25)]),
        groups("no smoothing", rng.dirichlet([3] * 4, 15), rng.dirichlet([3] * 4, 15), 0.0)]


# ---- vocabularies --------------------------------------------------------------------------------------

def fill(share):
    share = share.copy()
    least = share[share > 0].min()
    share[share == 0] = least / 1e6 if least <= 0.0001 else 0.0001
    return share


def vocabulary(name, a, b):
    a, b = numpy.array(a), numpy.array(b)
    union = (a + b) > 0
    a, b = a[union], b[union]
    n, m = a.sum(), b.sum()
    p, q = fill(a / n), fill(b / m)
    fill_p, fill_q = fill(numpy.append(a / n, 0))[-1], fill(numpy.append(b / m, 0))[-1]
    expected_psi = expected_kl = 0.0
    for count in a + b:
        split = numpy.arange(count + 1)
        weight = stats.binom.pmf(split, count, n / (n + m))
        x = numpy.where(split > 0, split / n, fill_p)
        y = numpy.where(split < count, (count - split) / m, fill_q)
        expected_psi += (weight * (x - y) * numpy.log(x / y)).sum()
        expected_kl += (weight * x * numpy.log(x / y)).sum()
    return {"name": name, "a": a.tolist(), "b": b.tolist(), "tokens": int(union.sum()),
            "psi": float(((p - q) * numpy.log(p / q)).sum()), "kl": float(stats.entropy(p, q)),
            "no_drift_psi": float(expected_psi),
            "no_drift_kl": float(expected_kl / p.sum() + numpy.log(q.sum() / p.sum()))}


def vocabularies(rng):
    zipf = 1 / numpy.arange(1, 301)
    zipf /= zipf.sum()
    return [
        vocabulary("Zipf, no drift", rng.multinomial(500, zipf), rng.multinomial(400, zipf)),
        vocabulary("more data", rng.multinomial(20_000, numpy.full(400, 1 / 400)),
                   rng.multinomial(30_000, numpy.full(400, 1 / 400))),
        vocabulary("disjoint", [5, 3, 2, 0, 0], [0, 0, 0, 4, 4]),
        vocabulary("equal", [5, 3, 2], [5, 3, 2]),
        vocabulary("one token each", [1, 0], [0, 1]),
        vocabulary("the same single token", [7], [3])]


def entropy(counts):
    counts = numpy.array(counts)
    present = counts[counts > 0]
    return {"counts": counts.tolist(),
            "entropy": float(stats.entropy(present) + (len(present) - 1) / (2 * counts.sum()))}


# ---- two samples ---------------------------------------------------------------------------------------

def estimate(x, y):
    r = x.sum() / y.sum()
    n = len(x)
    return r, numpy.sqrt(n / (n - 1) * ((x - r * y) ** 2).sum()) / y.sum()


def ratios(name, x1, y1, x2, y2):
    x1, y1, x2, y2 = (numpy.array(v, dtype=float) for v in (x1, y1, x2, y2))
    (r1, e1), (r2, e2) = estimate(x1, y1), estimate(x2, y2)
    z = (r2 - r1) / numpy.sqrt(e1**2 + e2**2)
    pooled = (x1.sum() + x2.sum()) / (y1.sum() + y2.sum())
    u1, u2 = x1 - pooled * y1, x2 - pooled * y2
    score = (u2.mean() - u1.mean()) / numpy.sqrt(numpy.append(u1, u2).var(ddof=1) * (1 / len(u1) + 1 / len(u2)))
    return {"name": name, "x1": x1.tolist(), "y1": y1.tolist(), "x2": x2.tolist(), "y2": y2.tolist(),
            "value": float(r2), "value_standard_error": float(e2), "difference": float(r2 - r1),
            "standard_error": float(numpy.hypot(e1, e2)), "statistic": float(z),
            "p": float(2 * stats.norm.sf(abs(z))), "score": float(score), "score_p": float(2 * stats.norm.sf(abs(score)))}


def means(name, x, y):
    test = stats.ttest_ind(y, x, equal_var=False)
    return {"name": name, "x": list(map(float, x)), "y": list(map(float, y)),
            "difference": float(numpy.mean(y) - numpy.mean(x)), "statistic": float(test.statistic),
            "degrees_of_freedom": float(test.df), "p": float(test.pvalue)}


def two_samples(rng):
    lengths = [rng.integers(5, 200, n) for n in (30, 25, 4)]
    hits = [rng.binomial(length, 0.05) for length in lengths]
    more = rng.binomial(lengths[1], 0.2)
    return {
        "ratios": [ratios("no drift", hits[0], lengths[0], hits[1], lengths[1]),
                   ratios("four times the rate", hits[0], lengths[0], more, lengths[1]),
                   ratios("few prompts", hits[2], lengths[2], hits[1], lengths[1]),
                   ratios("none before", [0] * 10, [20] * 10, [1, 0, 2, 0, 0], [20, 30, 10, 15, 20])],
        "means": [means("no drift", rng.normal(4, 1, 40), rng.normal(4, 1, 30)),
                  means("longer", rng.normal(4, 1, 40), rng.normal(5, .2, 12)),
                  means("two each", [1.0, 2.0], [3.0, 5.0]),
                  means("one side constant", [2.0] * 6, [2.5, 3.0, 2.0, 2.25]),
                  means("far apart", rng.normal(0, 1, 300), rng.normal(4, 1, 300))]}


# ---- categories ----------------------------------------------------------------------------------------

def categories(name, a, b, pooled_a=None, pooled_b=None):
    """pooled_*: the columns that the rule of small expectations leaves, worked out by hand."""
    table = numpy.array([pooled_a or a, pooled_b or b])
    table = table[:, table.sum(0) > 0]
    result = stats.chi2_contingency(table, correction=False)
    return {"name": name, "a": a, "b": b, "tested": table.shape[1], "chi_square": float(result.statistic),
            "degrees_of_freedom": float(result.dof), "p": float(result.pvalue), "exact": False,
            "cramers_v": float(numpy.sqrt(result.statistic / table.sum()))}


def exact_category(name, a, b, first, others):
    result = categories(name, a, b, [first[0], others[0]], [first[1], others[1]])
    n, m = sum(a), sum(b)
    law = stats.hypergeom(n + m, sum(first), m)
    middle = law.pmf(first[1]) / 2
    p = 2 * min(law.cdf(first[1] - 1) + middle, law.sf(first[1]) + middle)
    return {**result, "p": float(p), "exact": True}


def category_cases():
    return [
        categories("no drift", [100, 200, 50], [90, 210, 40]),
        categories("drift", [100, 200, 50, 0], [300, 100, 50, 30]),
        categories("deep tail", [1000, 2000], [2000, 1000]),
        categories("huge", [500_000_000_000, 250_000_000_000], [500_002_000_000, 249_999_000_000]),
        categories("rare ones are pooled", [100, 80, 3, 2, 1, 0], [90, 90, 4, 0, 6, 5],
                   [100, 80, 6], [90, 90, 15]),
        categories("a pool too small takes one more", [100, 80, 20, 1], [90, 90, 15, 1],
                   [100, 80, 21], [90, 90, 16]),
        exact_category("too few for more than one cell", [40, 1, 0], [30, 0, 5], (40, 30), (1, 5)),
        exact_category("disjoint and few", [3, 0], [0, 3], (3, 0), (0, 3))]


def main():
    rng = numpy.random.default_rng(17)
    document = {
        "multiple": multiple(rng), "scans": scans(rng), "sketches": sketches(rng),
        "divergences": divergences(rng), "groups": group_cases(rng), "vocabularies": vocabularies(rng),
        "entropies": [entropy(c) for c in ([1], [5, 0, 5], [1, 2, 3, 4, 0], [10**12, 1, 10**6])],
        "two_samples": two_samples(rng), "categories": category_cases(),
        "meta": {"command": "python3 tests/oracles/drift_statistics.py", "numpy": numpy.__version__,
                 "scipy": scipy.__version__, "statsmodels": statsmodels.__version__,
                 "mpmath": mpmath.__version__}}
    # One case to a line.
    text = json.dumps(document, default=float)
    print(text.replace(', {"name"', ',\n {"name"').replace('], "', '],\n "'))


if __name__ == "__main__":
    main()
