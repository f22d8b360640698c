#!/usr/bin/env python3
"""Values of KL(p || q) over the bins of p's top k and one tail bin, for tests/unit/stats.

The truth is scipy.special.rel_entr in float64 on the float32 log-probabilities that the test gets;
`full` is the KL over the whole vocabulary, which the merged one must not exceed.

    python3 tests/oracles/kl_top_k.py > golden/values/kl_top_k.json
"""
import json

import numpy
import scipy
from scipy.special import log_softmax, logsumexp, rel_entr


def case(name, rng, vocabulary, k, scale, noise):
    logits = rng.normal(0, scale, vocabulary)
    log_p = log_softmax(logits)
    log_q = log_softmax(logits + rng.normal(0, noise, vocabulary))
    order = numpy.argsort(-log_p, kind="stable")
    top, rest = order[:k], order[k:]
    p, q = log_p[top].astype(numpy.float32), log_q[top].astype(numpy.float32)
    p_tail = numpy.float32(logsumexp(log_p[rest])) if len(rest) else numpy.float32(-numpy.inf)
    q_tail = numpy.float32(logsumexp(log_q[rest])) if len(rest) else numpy.float32(-numpy.inf)
    wide = [numpy.exp(numpy.append(x, tail).astype(numpy.float64))
            for x, tail in ((p, p_tail), (q, q_tail))]
    number = lambda x: None if numpy.isneginf(x) else float(x)  # null: log 0
    return {"name": name, "p": [float(x) for x in p], "q": [float(x) for x in q],
            "p_tail": number(p_tail), "q_tail": number(q_tail),
            "kl": float(rel_entr(*wide).sum()),
            "full": float(rel_entr(numpy.exp(log_p), numpy.exp(log_q)).sum())}


def main():
    rng = numpy.random.default_rng(7)
    cases = [
        case("flat, small change", rng, 1000, 16, 1.0, 0.05),
        case("peaked, small change", rng, 1000, 16, 4.0, 0.05),
        case("peaked, large change", rng, 1000, 16, 4.0, 3.0),
        case("rounding only", rng, 1000, 16, 3.0, 0.004),
        case("k is the vocabulary: no tail", rng, 12, 12, 2.0, 0.5),
        case("k is one", rng, 100, 1, 2.0, 0.5),
    ]
    print(json.dumps({"cases": cases,
                      "meta": {"command": "python3 tests/oracles/kl_top_k.py",
                               "numpy": numpy.__version__, "scipy": scipy.__version__}}, indent=1))


if __name__ == "__main__":
    main()
