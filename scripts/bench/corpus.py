#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prompts out of real text that a Debian machine has: package descriptions and paragraphs of Python's standard library.

    corpus.py OUT DESCRIPTIONS --megabytes N [--seed S] [--fresh SHARE]    writes N MB of JSON Lines, {"prompt": ...}

A prompt is descriptions and, one time in eight, a paragraph of code or documentation, drawn at random and joined until a length is
reached (log-normal, median 250 bytes, mean about 570, at most 16 KB). The pool is a few MB, so its words repeat more than those of a
real log of that size; with --fresh that share of the words is of two halves of different words, which no cache has seen.
"""
import argparse
import json
import pathlib
import random
import re
import sysconfig


def descriptions(path):
    """All distinct ones, and those of the section "games" by themselves. `path`: as `apt-cache dumpavail` prints it."""
    pool, games, section, text = [], [], "", []
    for line in [*path.read_text(errors="replace").splitlines(), ""]:
        if line.startswith("Section:"):
            section = line[8:].strip()
        elif line.startswith("Description:"):
            text = [line[12:].strip()]
        elif line.startswith(" ") and text:
            text.append(line.strip())
        elif text and not line:
            (games if "games" in section else pool).append(" ".join(text))
        if not line:
            section, text = "", []
    return list(dict.fromkeys(pool)), list(dict.fromkeys(games))


def paragraphs():
    """Of Python's standard library, without its tests: code, comments and documentation."""
    found = []
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")):
        found += path.read_text(encoding="utf-8", errors="replace").split("\n\n")
    return [text for text in found if 40 < len(text) < 4000]


def with_fresh_words(text, share, words, chance):
    def maybe(match):
        if chance.random() >= share:
            return match[0]
        first, second = chance.choice(words), chance.choice(words)
        return first[: len(first) // 2 + 1] + second[len(second) // 2 :]

    return re.sub(r"[^\W\d_]{3,}", maybe, text)


def prompts(options):
    chance = random.Random(options.seed)
    pool, games = descriptions(options.descriptions)
    pool += games
    words = sorted({word for text in pool for word in re.findall(r"[^\W\d_]{4,}", text)})
    code = paragraphs()
    while True:
        length, parts, size = min(chance.lognormvariate(5.52, 1.1), 16000), [], 0
        while size < length:
            parts.append(chance.choice(pool if chance.random() < 0.875 else code))
            size += len(parts[-1]) + 2
        text = ". ".join(parts)
        yield with_fresh_words(text, options.fresh, words, chance) if options.fresh > 0 else text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("descriptions", type=pathlib.Path)
    parser.add_argument("--megabytes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fresh", type=float, default=0.0)
    options = parser.parse_args()
    left = options.megabytes * 1e6
    with open(options.out, "w") as file:
        for text in prompts(options):
            line = json.dumps({"prompt": text}, ensure_ascii=False) + "\n"
            file.write(line)
            left -= len(line.encode())
            if left <= 0:
                return


if __name__ == "__main__":
    main()
