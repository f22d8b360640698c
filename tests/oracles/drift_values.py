#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drift profiles of a small log, computed anew: tokens by Hugging Face `tokenizers`, sums by Python integers.

    python3 tests/oracles/drift_values.py ROOT    writes tests/fixtures/drift/log.jsonl and golden/values/drift_profile.json

Nothing here is shared with the C++ code but the description in docs/drift_profile.md.
"""
import bisect
import hashlib
import json
import pathlib
import random
import struct
import sys
import unicodedata
from fractions import Fraction
from math import isqrt

from tokenizers import Tokenizer

MASK = (1 << 64) - 1
SKETCH, GROUPS, CELLS, FIXED = 256, 64, 1 << 16, 16


def rotl(x, b):
    return ((x << b) | (x >> (64 - b))) & MASK


def siphash(key, data):
    k0, k1 = key
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(n):
        a, b, c, d = v
        for _ in range(n):
            a = (a + b) & MASK; b = rotl(b, 13) ^ a; a = rotl(a, 32)
            c = (c + d) & MASK; d = rotl(d, 16) ^ c
            a = (a + d) & MASK; d = rotl(d, 21) ^ a
            c = (c + b) & MASK; b = rotl(b, 17) ^ c; c = rotl(c, 32)
        v[:] = a, b, c, d

    whole = len(data) // 8 * 8
    words = [w for (w,) in struct.iter_unpack("<Q", data[:whole])]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 255) << 56)
    for word in words:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def words(*values):
    return struct.pack("<%dQ" % len(values), *values)


def derive(secret, purpose):
    return struct.unpack("<2Q", hashlib.sha256(b"loraproof.drift/1 " + purpose + b"\n" + secret).digest()[:16])


def rounded(value, divisor):
    half = Fraction(abs(value), divisor) + Fraction(1, 2)
    return (1 if value >= 0 else -1) * (half.numerator // half.denominator)


POWERS = []
_n, _d = 1, 1
while not POWERS or POWERS[-1] < 1 << 40:
    POWERS.append(_n // _d)
    _n, _d = _n * 101, _d * 99


def log_key(value):
    return bisect.bisect_left(POWERS, max(1, min(value, 1 << 40)))


RANGES = {  # blocks of Unicode
    "latin": [(0x41, 0x24F), (0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF), (0xFB00, 0xFB06), (0xFF21, 0xFF5A)],
    "cyrillic": [(0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)],
    "han": [(0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF)],
    "arabic": [(0x600, 0x6FF), (0x750, 0x77F), (0x870, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC)],
    "devanagari": [(0x900, 0x97F), (0xA8E0, 0xA8FF)],
    "kana": [(0x3041, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F)],
    "hangul": [(0x1100, 0x11FF), (0x3131, 0x318E), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xFFA0, 0xFFDC)],
}
MARKERS = """<|im_start|> <|im_end|> <|endoftext|> <|begin_of_text|> <|end_of_text|> <|eot_id|> <|start_header_id|>
<|end_header_id|> <|system|> <|user|> <|assistant|> <|end|> <|start|> <|channel|> <|message|> <start_of_turn>
<end_of_turn> <<SYS>> <</SYS>> <s> </s> <bos> <eos> [INST] [/INST]""".split()
MARKERS += ["### Instruction:", "### Response:", "### System:"]


def script_of(char):
    for name, ranges in RANGES.items():
        if any(a <= ord(char) <= b for a, b in ranges):
            return name
    return "other"


def url_bytes(text):
    total, at = 0, 0
    while at < len(text):
        rest = text[at:]
        before_letter = at > 0 and text[at - 1].isascii() and text[at - 1].isalpha()
        if not before_letter and rest.startswith(("http://", "https://", "www.")):
            end = next((i for i, c in enumerate(rest) if c in " \t\r\n<>\"'`)]}|"), len(rest))
            total += len(rest[:end].encode())
            at += end
        else:
            at += 1
    return total


def fence_bytes(text):
    return sum(len(part.encode()) for part in text.split("```")[1::2])


def figures(text):
    letters = {}
    for char in text:
        if unicodedata.category(char).startswith("L"):
            letters[script_of(char)] = letters.get(script_of(char), 0) + 1
    return {
        "bytes": len(text.encode()), "characters": len(text), "letters": letters,
        "digits": sum(unicodedata.category(c).startswith("N") for c in text),
        "url": url_bytes(text), "code_fence": fence_bytes(text),
        "markers": sum(any(text.startswith(m, i) for m in MARKERS) for i in range(len(text))),
    }


class Map:
    def __init__(self, units, secret, vocabulary):
        self.tf, self.df = {}, {}
        for ids in units:
            for t in ids:
                self.tf[t] = self.tf.get(t, 0) + 1
            for t in set(ids):
                self.df[t] = self.df.get(t, 0) + 1
        self.total = sum(self.tf.values())
        head = sorted((t for t in self.tf if self.tf[t] * GROUPS >= self.total), key=lambda t: (-self.tf[t], t))[:GROUPS - 2]
        rest = self.total - sum(self.tf[t] for t in head)
        rare = sum(self.tf[t] for t in self.tf if self.df[t] < 5 and t not in head)
        room = GROUPS - len(head)
        share = room // 2 if rest == 0 else rounded(room * rare, rest)
        rare_groups = max(1, min(room - 1, share)) if rest else share
        common = room - rare_groups
        sketch_key, group_key = derive(secret, b"sketch"), derive(secret, b"group")
        self.weight, self.cell, self.group = {}, {}, {}
        for t in range(vocabulary):
            h = siphash(sketch_key, words(t))
            pi = max(Fraction(self.tf.get(t, 0), self.total), Fraction(1, 10000))
            squared = Fraction(1 << 32) / pi
            self.weight[t] = isqrt(squared.numerator // squared.denominator) * (-1 if h >> 8 & 1 else 1)
            self.cell[t] = h & 255
            place = siphash(group_key, words(t))
            if t in head:
                self.group[t] = head.index(t)
            elif self.df.get(t, 0) < 5:
                self.group[t] = len(head) + common + place % rare_groups
            else:
                self.group[t] = len(head) + place % common
        self.grams = {siphash(derive(secret, b"ngram"), words(a | b << 32, c))
                      for ids in units for a, b, c in zip(ids, ids[1:], ids[2:])}
        bits = -(-len(self.grams) * 10 // 64) * 64
        self.bits, self.bloom = bits, set()
        for h in self.grams:
            self.bloom.update(self.probes(h))
        self.units = len(units)

    def probes(self, h):
        step = (h * 0x9E3779B97F4A7C15 & MASK) >> 16 | 1
        return [((h >> 16) + i * step) % self.bits for i in range(7)]

    def knows(self, h):
        return all(p in self.bloom for p in self.probes(h))


def lens_rows(text, ids, m, secret, special, fallback):
    f, n = figures(text), len(ids)
    pairs = list(zip(ids, ids[1:]))
    cells = {siphash(derive(secret, b"bigram"), words(a | b << 32)) % CELLS for a, b in pairs}
    grams = [siphash(derive(secret, b"ngram"), words(a | b << 32, c)) for a, b, c in zip(ids, ids[1:], ids[2:])]
    letters = sum(f["letters"].values())
    rows = {
        "length_tokens": (n, 1, False), "length_bytes": (f["bytes"], 1, False), "tokens_per_byte": (n, f["bytes"], True),
        "unseen_tokens": (sum(t not in m.tf for t in ids), n, True), "fallback_tokens": (sum(t in fallback for t in ids), n, True),
        "special_tokens": (sum(t in special for t in ids), 1, False), "template_markers": (f["markers"], 1, False),
        "digits": (f["digits"], f["characters"], True), "url": (f["url"], f["bytes"], True),
        "code_fence": (f["code_fence"], f["bytes"], True), "distinct_two": (len(cells), len(pairs), True),
        "novelty": (sum(not m.knows(h) for h in grams), len(grams), True), "empty": (int(n == 0), 1, False),
    }
    for name in [*RANGES, "other"]:
        rows["script_" + name] = (f["letters"].get(name, 0), letters, True)
    return rows, cells


def profile(units, m, secret, special, fallback):
    S, C = [0] * SKETCH, {}
    G, GG = [0] * GROUPS, {}
    tokens, cells, lenses = {}, {}, {}
    for text, ids in units:
        for t in set(ids):
            df, tf = tokens.get(t, (0, 0))
            tokens[t] = (df + 1, tf + ids.count(t))
        phi, share = [0] * SKETCH, [0] * GROUPS
        for t in ids:
            phi[m.cell[t]] += m.weight[t]
            share[m.group[t]] += 1
        if ids:
            phi = [rounded(v, len(ids)) for v in phi]
            share = [rounded(v << FIXED, len(ids)) for v in share]
        for vector, sums, products in ((phi, S, C), (share, G, GG)):
            for i, v in enumerate(vector):
                sums[i] += v
                for j in range(i, len(vector)):
                    products[i, j] = products.get((i, j), 0) + v * vector[j]
        rows, used = lens_rows(text, ids, m, secret, special, fallback)
        for cell in used:
            cells[cell] = cells.get(cell, 0) + 1
        for name, (x, y, is_share) in rows.items():
            if y == 0:
                continue
            state = lenses.setdefault(name, {"units": 0, "sums": [0] * 5, "zeros": 0, "bins": {}})
            state["units"] += 1
            state["sums"] = [s + v for s, v in zip(state["sums"], (x, y, x * x, x * y, y * y))]
            value = rounded(x << FIXED, y) if is_share else x
            if value == 0:
                state["zeros"] += 1
            else:
                state["bins"][log_key(value)] = state["bins"].get(log_key(value), 0) + 1

    def listed(products, size):
        return hashlib.sha256(",".join(str(products[i, j]) for i in range(size) for j in range(i, size)).encode()).hexdigest()

    return {
        "units": len(units), "tokens": [[t, *tokens[t]] for t in sorted(tokens)],
        "bigram_cells": [[c, cells[c]] for c in sorted(cells)], "sketch_sum": S, "sketch_products_sha256": listed(C, SKETCH),
        "group_sum": G, "group_products_sha256": listed(GG, GROUPS),
        "lenses": {n: {**s, "bins": [[k, s["bins"][k]] for k in sorted(s["bins"])]} for n, s in sorted(lenses.items())},
    }


def make_log(path):
    chance = random.Random(7)
    nouns = "invoice ticket customer garden engine river model letter window answer".split()
    verbs = "summarise translate explain rewrite classify check shorten extend".split()
    extra = ["", " in French", " for a child", " https://example.org/a?b=1 please", " ```print(1)``` now", " 12345 67",
             " Привет мир", " 漢字かな", " [INST] ignore that [/INST]", " <|im_start|>system", " مرحبا", " नमस्ते", " 한국어", " Ελλάδα", " 😀", "\nnext line"]
    lines = []
    for i in range(240):
        text = f"{chance.choice(verbs).capitalize()} the {chance.choice(nouns)} and the {chance.choice(nouns)}{chance.choice(extra)}"
        if i % 40 == 7:
            text = ""
        if i % 3 == 0:
            lines.append(json.dumps({"messages": [{"role": "system", "content": "You help."}, {"role": "user", "content": text}]}, ensure_ascii=i % 2 == 0))
        else:
            lines.append(json.dumps({"prompt": text, "tier": chance.choice("abc")}, ensure_ascii=i % 2 == 0))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    root = pathlib.Path(sys.argv[1])
    log = root / "tests/fixtures/drift/log.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    make_log(log)
    tokenizer = Tokenizer.from_file(str(root / "examples/demo-model/base/tokenizer.json"))
    document = json.loads((root / "examples/demo-model/base/tokenizer.json").read_text())
    special = {t["id"] for t in document["added_tokens"] if t["special"]}
    size = tokenizer.get_vocab_size()
    fallback = {t for t in range(size) if "\ufffd" in tokenizer.decode([t], skip_special_tokens=False)}
    secret = b"published"
    hold = derive(secret, b"holdout")
    held, rest = [], []
    for number, line in enumerate(log.read_bytes().splitlines(), 1):
        record = json.loads(line)
        text = record["prompt"] if "prompt" in record else record["messages"][1]["content"]
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        drawn = siphash(hold, words(siphash(hold, line), number)) % 4 == 0
        (held if drawn else rest).append((text, ids))
    m = Map([ids for _, ids in held], secret, size)
    out = {
        "made_by": "tests/oracles/drift_values.py", "siphash": [[n, str(siphash((0x0706050403020100, 0x0F0E0D0C0B0A0908), bytes(range(n))))] for n in (0, 1, 7, 8, 15, 63)],
        "log_keys": [[v, log_key(v)] for v in (1, 2, 3, 49, 50, 51, 100, 65536, 10**6, 2**31, 2**40 - 1, 2**40, 2**50)],
        "log_thresholds_sha256": hashlib.sha256(",".join(str(min(p, 1 << 40)) for p in POWERS).encode()).hexdigest(),
        "map": {"units": m.units, "tokens": [[t, m.df[t], m.tf[t]] for t in sorted(m.tf)], "ngrams": len(m.grams)},
        "profile": profile(rest, m, secret, special, fallback),
    }
    text = json.dumps(out, separators=(",", ":"))
    (root / "golden/values/drift_profile.json").write_text(text.replace('],"', '],\n"').replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()
