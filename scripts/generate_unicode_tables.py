#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes lib/loraproof/text/unicode_tables.cpp by asking Hugging Face `tokenizers` about every code point.

`tokenizers` mixes several Unicode versions (its regex engine, its normaliser, Rust's own tables), and no
library has the same mix, so the tables are probed, not taken from a Unicode data file.
Needs: tokenizers. Run: python3 scripts/generate_unicode_tables.py > lib/loraproof/text/unicode_tables.cpp
"""
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CHUNK = 4096
BLOCK = 128
HANGUL = range(0xAC00, 0xD7A4)


def chunks():
    for i in range(0, len(CODE_POINTS), CHUNK):
        yield CODE_POINTS[i : i + CHUNK]


def regex_members(pattern):
    """Code points that one character of `pattern` matches in a Split pre-tokenizer."""
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    found = set()
    for chunk in chunks():
        for piece, _ in split.pre_tokenize_str("".join(map(chr, chunk))):
            found.update(map(ord, piece))
    return found


def isolated_members(pre_tokenizer):
    """Code points that a pre-tokenizer cuts out of a run of letters."""
    found = set()
    for chunk in chunks():
        text = "".join("a" + chr(c) for c in chunk) + "a"
        for piece, (start, _) in pre_tokenizer.pre_tokenize_str(text):
            if piece != "a" and start % 2 == 1 and len(piece) == 1:
                found.add(ord(piece))
    return found


def added_token_starts(**options):
    """For each code point c: where the added token of "<c>TOK-" was found (offset 0, 1 or None)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.add_tokens([AddedToken("TOK", normalized=False, **options)])
    starts = {}
    for chunk in chunks():
        encoding = tokenizer.encode("".join(chr(c) + "TOK-" for c in chunk))
        for start, _ in encoding.offsets:
            starts[chunk[start // 5]] = start % 5
    return starts


def normalised(normalizer):
    return {c: out for c in CODE_POINTS if (out := normalizer.normalize_str(chr(c))) != chr(c)}


def probe():
    flags = {
        "kLetter": regex_members(r"\p{L}"),
        "kNumber": regex_members(r"\p{N}"),
        "kSpace": regex_members(r"\s"),
        "kUpperish": regex_members(r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"),
        "kLowerish": regex_members(r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"),
        "kPunctuationOrSymbol": regex_members(r"[\p{P}\p{S}]"),
        "kMark": regex_members(r"\p{M}"),
        "kDigit": isolated_members(pre_tokenizers.Digits(individual_digits=True)),
        "kPunctuation": isolated_members(pre_tokenizers.Punctuation("isolated")),
    }
    single = added_token_starts(single_word=True)
    flags["kWord"] = {c for c in CODE_POINTS if c not in single}
    stripped = added_token_starts(lstrip=True)
    assert {c for c, start in stripped.items() if start == 0} == flags["kSpace"]
    return flags


def probe_normaliser():
    nfc, nfd = normalizers.NFC(), normalizers.NFD()
    composed, decomposed = normalised(nfc), normalised(nfd)
    classes = {}
    for c in CODE_POINTS:
        # The class itself never changes once a character has one; whether HF's older table has it, shows here.
        value = unicodedata.combining(chr(c))
        if value and (value >= 240 or nfd.normalize_str("a\u0345" + chr(c)) == "a" + nfd.normalize_str(chr(c)) + "\u0345"):
            classes[c] = value
    pairs = {}
    for c in decomposed:
        parts = unicodedata.decomposition(chr(c)).split()
        if c in HANGUL or len(parts) != 2 or parts[0].startswith("<"):
            continue
        first, second = (int(p, 16) for p in parts)
        if nfc.normalize_str(chr(first) + chr(second)) == chr(c):
            pairs[first, second] = c
    assert {c for c in decomposed if c not in composed and c not in HANGUL} == set(pairs.values())
    seconds = {second for _, second in pairs} | set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    inert_not = set(composed) | set(classes) | seconds
    return inert_not, {c: d for c, d in decomposed.items() if c not in HANGUL}, classes, pairs


def rows(values, width=110):
    line = ""
    for v in values:
        item = f"{v},"
        if len(line) + len(item) > width:
            yield line
            line = ""
        line += item
    if line:
        yield line


def array(kind, name, values, count_name=None):
    values = list(values)
    out = [f"const {kind} {name}[] = {{"] + list(rows(values)) + ["};"]
    if count_name:
        out.append(f"const std::size_t {count_name} = {len(values)};")
    return out


def main():
    flags = probe()
    relevant, decomposed, classes, pairs = probe_normaliser()
    flags["kNfcRelevant"] = relevant
    order = ["kLetter", "kNumber", "kSpace", "kUpperish", "kLowerish", "kPunctuationOrSymbol", "kMark", "kDigit",
             "kPunctuation", "kWord", "kNfcRelevant"]
    masks = [0] * 0x110000
    for bit, name in enumerate(order):
        for c in flags[name]:
            masks[c] |= 1 << bit
    kinds = sorted(set(masks))
    kind_of = {m: i for i, m in enumerate(kinds)}
    assert len(kinds) <= 256
    blocks, index = {}, []
    for start in range(0, 0x110000, BLOCK):
        block = tuple(kind_of[m] for m in masks[start : start + BLOCK])
        index.append(blocks.setdefault(block, len(blocks)))
    out = ["// SPDX-License-Identifier: Apache-2.0",
           f"// Generated by scripts/generate_unicode_tables.py, which asked tokenizers {tokenizers.__version__}; do not edit.",
           "// clang-format off",
           '#include "loraproof/text/unicode_tables.h"', "", "namespace loraproof::text::tables {", ""]
    out += array("std::uint16_t", "kFlagsOfKind", kinds)
    out += array("std::uint16_t", "kBlockOfCodePoint", index)
    out += array("std::uint8_t", "kKindOfBlock", [k for block in blocks for k in block])
    out += array("std::uint32_t", "kCombiningCodePoint", sorted(classes), "kCombiningCount")
    out += array("std::uint8_t", "kCombiningClass", [classes[c] for c in sorted(classes)])
    offsets, flat = [], []
    for c in sorted(decomposed):
        offsets.append(len(flat))
        flat += [ord(x) for x in decomposed[c]]
    out += array("std::uint32_t", "kDecomposedCodePoint", sorted(decomposed), "kDecomposedCount")
    out += array("std::uint16_t", "kDecomposedOffset", offsets + [len(flat)])
    out += array("std::uint32_t", "kDecomposedText", flat)
    out += array("std::uint64_t", "kComposedPair", [f"{(a << 32) | b}u" for a, b in sorted(pairs)], "kComposedCount")
    out += array("std::uint32_t", "kComposedCodePoint", [pairs[p] for p in sorted(pairs)])
    out += ["", "}  // namespace loraproof::text::tables"]
    print("\n".join(out))
    print({name: len(members) for name, members in flags.items()}, len(kinds), "kinds", len(blocks), "blocks",
          len(classes), "classes", len(pairs), "pairs", file=sys.stderr)


if __name__ == "__main__":
    main()
