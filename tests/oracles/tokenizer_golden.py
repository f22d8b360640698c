#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes golden/values/tokenizer: what Hugging Face `tokenizers` makes of adversarial texts with each fixture.

texts.json: the texts that all fixtures share. <fixture>.jsonl, one JSON value a line: {"text": index or string,
"ids": [...]}, with "special" where ids with special tokens differ otherwise than by the template, "decoded" and "skipped"
(decode without special tokens) where they are not the text. {"repeat": [s, n]}: SHA-256 of the ids of a very long text.
{"decode": [...]}: ids at random. Needs: tokenizers. Run after tokenizer_fixtures.py.
"""

import hashlib
import json
import pathlib
import random

import tokenizers
from tokenizers import Tokenizer

import tokenizer_texts

TESTS = pathlib.Path(__file__).resolve().parents[1]
OUT = TESTS.parent / "golden" / "values" / "tokenizer"
SHARED, OWN, LISTS, LONGEST = 250, 90, 40, 160
REPEATS = [["ab", 30000], ["a", 20001], [" ", 5000], ["the bridge ", 4000], ["漢字", 9000], ["e\u0301", 8000], ["\n", 3000]]


def line(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def record(tokenizer, text, stored):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    out = {"text": stored, "ids": ids, "special": tokenizer.encode(text).ids}
    if out["special"] == ids or len(text) % 5:  # the template is the same for all: a fifth of the texts is enough
        del out["special"]
    for key, skip in (("decoded", False), ("skipped", True)):
        decoded = tokenizer.decode(ids, skip_special_tokens=skip)
        if decoded != text:
            out[key] = decoded
    return out


def own_texts(tokenizer, added):
    wanted = [t for t in tokenizer_texts.texts(4000, 7, added) if len(t) <= LONGEST and any(a in t for a in added)]
    return random.Random(9).sample(wanted, min(OWN, len(wanted)))


def fixture_lines(file, shared):
    tokenizer = Tokenizer.from_file(str(file))
    added = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
    yield line({"vocab_size": tokenizer.get_vocab_size(), "added": [
        {"id": i, "content": t.content, "special": t.special} for i, t in sorted(tokenizer.get_added_tokens_decoder().items())]})
    for index, text in enumerate(shared):
        yield line(record(tokenizer, text, index))
    for text in own_texts(tokenizer, added):
        yield line(record(tokenizer, text, text))
    for piece, count in REPEATS:
        ids = tokenizer.encode(piece * count, add_special_tokens=False).ids
        digest = hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()
        yield line({"repeat": [piece, count], "count": len(ids), "sha256": "sha256:" + digest})
    rng = random.Random(11)
    limit = max(tokenizer.get_vocab().values()) + 3
    for _ in range(LISTS):
        ids = [rng.randrange(limit) for _ in range(rng.randrange(14))]
        yield line({"decode": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                    "skipped": tokenizer.decode(ids, skip_special_tokens=True)})


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    shared = [t for t in tokenizer_texts.texts(2000, 5) if len(t) <= LONGEST][:SHARED]
    (OUT / "texts.json").write_text("[\n" + ",\n".join(json.dumps(t) for t in shared) + "\n]\n", encoding="utf-8")
    for file in sorted((TESTS / "fixtures" / "tokenizers").glob("*.json")):
        (OUT / f"{file.stem}.jsonl").write_text("".join(fixture_lines(file, shared)), encoding="utf-8")
    (OUT / "meta.yaml").write_text(
        "made_by: tests/oracles/tokenizer_golden.py (fixtures: tests/oracles/tokenizer_fixtures.py)\n"
        f"versions: {{tokenizers: {tokenizers.__version__}}}\n"
        "command: python3 tests/oracles/tokenizer_fixtures.py && python3 tests/oracles/tokenizer_golden.py\n"
        "read_by: tests/unit/text/tokenizer_test.cpp\n", encoding="utf-8")


if __name__ == "__main__":
    main()
