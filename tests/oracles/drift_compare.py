#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two small logs compared, from rows of prompts rather than from profiles: tokens by Hugging Face `tokenizers`, maps and
shares by tests/oracles/drift_values.py, statistics by scipy and numpy (tests/oracles/drift_statistics.py).

    python3 tests/oracles/drift_compare.py ROOT    writes tests/fixtures/drift/window.jsonl and golden/values/drift_compare.json

The reference is tests/fixtures/drift/log.jsonl without the quarter that its map is made of. Needs numpy, scipy, statsmodels,
mpmath and tokenizers.
"""
import json
import pathlib
import random
import sys

import numpy
from scipy import stats
from tokenizers import Tokenizer

import drift_statistics
import drift_values as values


def make_window(path):
    chance = random.Random(11)
    nouns = "invoice ticket customer harbour planet guitar".split()
    verbs = "summarise translate explain rewrite".split()
    extra = ["", "", " in French", " 12345 67", " Привет мир", " Привет", " ```print(1)``` now", " and then once more, please"]
    lines = []
    for i in range(150):
        text = f"{chance.choice(verbs).capitalize()} the {chance.choice(nouns)} and the {chance.choice(nouns)}{chance.choice(extra)}"
        if i % 50 == 3:
            text = ""
        lines.append(json.dumps({"prompt": text, "tier": chance.choice("aab")}, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(path, tokenizer):
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        record = json.loads(line)
        text = record["prompt"] if "prompt" in record else record["messages"][1]["content"]
        rows.append((number, line, text, tokenizer.encode(text, add_special_tokens=False).ids))
    return rows


def vectors(units, m):
    """Rows of prompts that have tokens: sketch and group shares in the fixed point of a profile, and exact group shares."""
    sketch, groups, exact = [], [], []
    for _, ids in units:
        if not ids:
            continue
        phi, share = [0] * values.SKETCH, [0] * values.GROUPS
        for t in ids:
            phi[m.cell[t]] += m.weight[t]
            share[m.group[t]] += 1
        sketch.append([values.rounded(v, len(ids)) / 65536 for v in phi])
        groups.append([values.rounded(v << 16, len(ids)) / 65536 for v in share])
        exact.append([v / len(ids) for v in share])
    return numpy.array(sketch), numpy.array(groups), numpy.array(exact)


def scan_of(before, now):
    def frequencies(units):
        counts = {}
        for _, ids in units:
            for t in set(ids):
                counts[t] = counts.get(t, 0) + 1
        return counts
    a, b = frequencies(before), frequencies(now)
    tokens = sorted(set(a) | set(b))
    found = drift_statistics.scan("fixture", [a.get(t, 0) for t in tokens], len(before), [b.get(t, 0) for t in tokens], len(now))
    moved = sorted(tokens[t] for t, q in zip(found["tokens"], found["q"]) if q <= 0.05)
    return {"tested": len(found["tokens"]), "moved": moved, "p": min(found["q"]), "changed_share": found["changed_share"]}


def score_test(x1, y1, x2, y2):
    """Residuals of the pooled ratio have one variance; z of the difference of their means."""
    x1, y1, x2, y2 = (numpy.array(v, dtype=float) for v in (x1, y1, x2, y2))
    r = (x1.sum() + x2.sum()) / (y1.sum() + y2.sum())
    u1, u2 = x1 - r * y1, x2 - r * y2
    both = numpy.concatenate([u1, u2])
    z = (u2.mean() - u1.mean()) / numpy.sqrt(both.var(ddof=1) * (1 / len(u1) + 1 / len(u2)))
    return {"difference": float(x2.sum() / y2.sum() - x1.sum() / y1.sum()), "p": float(2 * stats.norm.sf(abs(z)))}


def scaled(x, y):
    """Shares over the root of the pooled share."""
    pooled = (x.sum(0) + y.sum(0)) / (len(x) + len(y))
    scale = numpy.where(pooled > 0, 1 / numpy.sqrt(numpy.where(pooled > 0, pooled, 1)), 0)
    return x * scale, y * scale


def fisher(a, n, b, m):
    law = stats.hypergeom(n + m, a + b, m)
    middle = law.pmf(b) / 2
    return float(min(1.0, 2 * min(law.cdf(b - 1) + middle, law.sf(b) + middle)))


def lenses(before, now, m, secret, special, fallback):
    rows = [[values.lens_rows(text, ids, m, secret, special, fallback)[0] for text, ids in units] for units in (before, now)]
    result = {}
    for name in rows[0][0]:
        sides = [[row[name] for row in side if row[name][1] > 0] for side in rows]
        (x1, y1), (x2, y2) = ([[r[i] for r in side] for i in (0, 1)] for side in sides)
        some = [sum(v > 0 for v in x) for x in (x1, x2)]
        n, k = len(x1), len(x2)
        if name in ("length_tokens", "length_bytes"):
            logs = [numpy.log([v for v in x if v > 0]) for x in (x1, x2)]
            test = stats.ttest_ind(logs[1], logs[0], equal_var=False)
            # A profile knows each value within 1 %, so p is close but not equal.
            result[name] = {"ratio": float(numpy.exp(logs[1].mean() - logs[0].mean())), "p": float(test.pvalue)}
        elif sum(x1) + sum(x2) > 0:
            result[name] = {**score_test(x1, y1, x2, y2), "some": some, "n": [n, k], "fisher_p": fisher(some[0], n, some[1], k)}
    return result


def main():
    root = pathlib.Path(sys.argv[1])
    window = root / "tests/fixtures/drift/window.jsonl"
    make_window(window)
    folder = root / "examples/demo-model/base"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    document = json.loads((folder / "tokenizer.json").read_text())
    special = {t["id"] for t in document["added_tokens"] if t["special"]}
    size = tokenizer.get_vocab_size()
    fallback = {t for t in range(size) if "\ufffd" in tokenizer.decode([t], skip_special_tokens=False)}
    secret = b"published"
    hold = values.derive(secret, b"holdout")
    held, before = [], []
    for number, line, text, ids in read(root / "tests/fixtures/drift/log.jsonl", tokenizer):
        drawn = values.siphash(hold, values.words(values.siphash(hold, line), number)) % 4 == 0
        (held if drawn else before).append((text, ids))
    now = [(text, ids) for _, _, text, ids in read(window, tokenizer)]
    m = values.Map([ids for _, ids in held], secret, size)
    sketch1, groups1, exact1 = vectors(before, m)
    sketch2, groups2, exact2 = vectors(now, m)
    grouped = drift_statistics.groups("fixture", exact1, exact2)
    out = {
        "made_by": "tests/oracles/drift_compare.py", "units": [len(before), len(now)],
        "scan": scan_of(before, now), "sketch": drift_statistics.shift_test(sketch1, sketch2),
        "groups": {"plain": grouped["plain"], "debiased": grouped["debiased"], "shift_test": drift_statistics.shift_test(*scaled(groups1, groups2))},
        "lenses": lenses(before, now, m, secret, special, fallback),
    }
    text = json.dumps(out, separators=(",", ":"), default=float)
    (root / "golden/values/drift_compare.json").write_text(text.replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()
