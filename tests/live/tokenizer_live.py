#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares our tokeniser with Hugging Face `tokenizers`: tokenizer_live.py PROBE FILE_OR_FOLDER...

Every tokenizer.json found (also under the folders in LORAPROOF_TOKENIZERS, separated by ':') is asked for
the ids of LORAPROOF_TOKENIZER_TEXTS (2000) adversarial texts with and without special tokens, and for the text of as many id lists.
Exit status 0 when all are equal, 1 when some differ, 77 without `tokenizers`. --bench adds MB/s of both on one thread.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracles"))
import tokenizer_texts

os.environ["TOKENIZERS_PARALLELISM"] = "false"
try:
    from tokenizers import Tokenizer
except ImportError:
    print("skipped: the Python package tokenizers is not installed")
    sys.exit(77)


def find(paths):
    for path in map(pathlib.Path, paths):
        if path.is_file():
            yield path
        else:
            yield from sorted(p for p in path.rglob("*.json") if p.name == "tokenizer.json" or path.name == "tokenizers")


def ask(probe, file, requests):
    """The answers to all requests, and the probe's first line."""
    lines = "".join(json.dumps(r) + "\n" for r in requests)
    done = subprocess.run([probe, file], input=lines, capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    out = [json.loads(line) for line in done.stdout.split("\n") if line]
    return out[0], out[1:]


def id_lists(tokenizer, texts, rng):
    """Ids as encoded, cut in two, and at random over the vocabulary (so that broken UTF-8 comes up too)."""
    limit = max(tokenizer.get_vocab().values()) + 3
    specials = list(tokenizer.get_added_tokens_decoder()) or [0]
    lists = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        lists.append(ids[rng.randrange(len(ids) + 1) :] if rng.random() < 0.3 else ids)
        lists.append([rng.choice(specials) if rng.random() < 0.15 else rng.randrange(limit) for _ in range(rng.randrange(12))])
    return lists


def compare(probe, file, count):
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    added = [t.content for _, t in sorted(tokenizer.get_added_tokens_decoder().items())]
    texts = tokenizer_texts.texts(count, seed=20, added=added)
    lists = id_lists(tokenizer, texts[: count // 2], random.Random(21))
    requests = [{"text": t, "special": special} for t in texts for special in (False, True)]
    requests += [{"ids": ids, "skip": skip} for ids in lists for skip in (False, True)]
    expected = [tokenizer.encode(r["text"], add_special_tokens=r["special"]).ids if "text" in r
                else tokenizer.decode(r["ids"], skip_special_tokens=r["skip"]) for r in requests]
    head, found = ask(probe, file, requests)
    wrong = [(r, e, f) for r, e, f in zip(requests, expected, found, strict=True) if e != f]
    wrong_texts = len({w[0]["text"] for w in wrong if "text" in w[0]})
    wrong_lists = len([w for w in wrong if "ids" in w[0]])
    size_ok = head["vocab_size"] == tokenizer.get_vocab_size()
    print(f"{file}: {len(texts)} texts, {wrong_texts} differ; {len(lists)} id lists, {wrong_lists} differ; "
          f"vocabulary size {'equal' if size_ok else 'DIFFERS'}; loaded in {head['load_seconds']:.2f} s", flush=True)
    for request, want, got in wrong[:5]:
        print("  ", ascii(request)[:300], "\n     expected", ascii(want)[:300], "\n     found   ", ascii(got)[:300])
    return not wrong and size_ok


def bench(probe, file):
    text = tokenizer_texts.bench_text(400_000)
    tokenizer = Tokenizer.from_file(str(file))
    prompts = [text[i : i + 500] for i in range(0, len(text), 500)]
    start, done = time.process_time(), 0
    while time.process_time() - start < 2:
        for prompt in prompts:
            tokenizer.encode(prompt, add_special_tokens=False)
        done += len(text)
    theirs = done / (time.process_time() - start) / 1e6
    _, answer = ask(probe, file, [{"bench": text, "seconds": 2}])
    ours = answer[0]["bytes_per_second"] / 1e6
    print(f"{file}: ours {ours:.1f} MB/s, tokenizers {theirs:.1f} MB/s, {ours / theirs:.1f} times")


def main():
    arguments = [a for a in sys.argv[1:] if a != "--bench"]
    probe, paths = arguments[0], arguments[1:]
    paths += [p for p in os.environ.get("LORAPROOF_TOKENIZERS", "").split(":") if p]
    files = list(find(paths))
    count = int(os.environ.get("LORAPROOF_TOKENIZER_TEXTS", "2000"))
    equal = [compare(probe, file, count) for file in files]
    if "--bench" in sys.argv:
        for file in files:
            bench(probe, file)
    sys.exit(0 if equal and all(equal) else 1)


if __name__ == "__main__":
    main()
