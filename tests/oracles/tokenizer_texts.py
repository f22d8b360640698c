#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Texts on which tokenisers disagree: the same list for the golden values and for the live test."""

import random
import unicodedata

FIXED = [
    "", " ", "  ", "   ", "\n", "\r\n", "\n\n", " \n ", "\t", "\t\t x", "a", " a", "a ", "  a  b   c ", "\u3000x", "\xa0x\xa0",
    "Hello, world!", "I'm you're he'S we'LL they'Ve I'D don't 'tis ''s 's' 'ſ x'ſt", "it's 'll'd've",
    "The year 1234567890 and 3.14159, ١٢٣٤, Ⅷ, ½, 𝟜𝟝, 12 345", "0", "00 000 0000 00000", "a1b22c333d4444",
    "e\u0301 é \u1e9b\u0323 가 \u1100\u1161\u11a8 각 \u212b Å A\u030a", "a\u0315\u0300\u05ae\u0300\u0062", "\u0344\u0301 \u0958 \u2126",
    "\u1df6\u0301a\u1df6\u0300", "\u07fd\u0301", "\u32ff \ua7f2", "𑤸 𑄮", "\u0301\u0301x\u0301", "!\u0301a \u0301B",
    "你好，世界。今天天气很好！", "日本語のテキスト、カタカナとひらがな。", "한국어 텍스트입니다", "ภาษาไทย", "हिन्दी में पाठ", "العربية مُشَكَّلة", "עִבְרִית",
    "😀👍🏽👨‍👩‍👧‍👦🏳️‍🌈🇩🇪1️⃣", "\u200b\u200d\ufeff\u2060", "\x00\x01\x1f\x7f\x80\x85\x9f", "a\u180eb\u2028c\u2029d\u0085e\u1680f",
    "def f(x):\n    return x**2  # comment\n\n\n\tif x:\n\t\tpass\n", '{"key": [1, 2.5e-10, null], "a b": "c\\n"}', "<html>&nbsp;</html>",
    "CamelCaseHTTPServer fooBAR ÀÉÎ ǅungla ʰʱ ªº Ⅻ ⓐⒶ", "ABCdefGHI'sJKL'LLmno", "https://example.org/a?b=c&d=%20#e", "/// /r\r/n\n /", "a//\n/\n b",
    "...\n\n\n   \n!!!\r\n\r\n??? \n", "   \n   x   \n\n  y", "x\n \n  \n   z", "   ", " \t \t\n", "   x", "x   ", "_-_+=*^~`|\\", "<0x0A><0xZZ>",
    "▁", "▁▁a ▁b", " ▁", "a▁b c▁▁d", "Ġthe Ċ ĉ", "\ufffd", "\U0010ffff\ue000\ud7ff", "ﬁﬂ ﬆ K", "İstanbul ıI ß ẞ Σς",
    "-龥鿿ゟヿ々〆豈 0漢字1", "\U00011de0\U00016ff4", "𐐀𐐨𝒜", "~ hello~a ~~x `a [b ]c", "a" * 300, "ab" * 700, " " * 500, "\n" * 200, "0" * 333,
    "é" * 150, "漢" * 150, "😀" * 80, "e\u0301" * 120, "\u0301\u0316" * 60, "word " * 400, ("x" * 29 + " ") * 40, "'" * 50, "▁" * 70,
]

PIECES = [
    " ", "  ", "\n", "\r\n", "\t", "\u3000", "\xa0", "\u0085", "'s", "'T", "'re", "'ſ", "'", "the", "Hello", "ing", "A", "b", "ZZ", "ǅ", "ß", "é", "e\u0301",
    "\u0301", "\u0327", "\u0345", "\u11a8", "가", "\u1100", "\u1161", "漢", "の", "カ", "ー", "한", "ก", "ि", "ש", "م", "😀", "\u200d", "\ufe0f", "🏽", "1", "23", "456", "٣",
    "½", "Ⅷ", "²", "!", "?!", "...", "/", "//", "_", "-", "\"", "$", "€", "∑", "▁", "Ġ", "<", ">", "<0x41>", "\x00", "\x1f", "\u180e", "\ufffd", "\U00010400",
    "\U000e0041", "ªº", "ʰ", "ǈ",
]

PROSE = (
    "The committee met on 14 March 2021 to decide whether the bridge, which had been closed for nine months, could be "
    "opened again. \"We don't know yet,\" said the engineer; it's a matter of weeks, not days. Costs rose from $3.2 million to "
    "almost $5 million (an increase of 56%), and the council's own report didn't explain why.\n\n"
)
CODE = (
    "static int parse_header(const char *buf, size_t len) {\n    if (len < 8) {\n        return -1;  /* too short */\n    }\n"
    "    for (size_t i = 0; i < len; ++i) {\n        sum += (unsigned char)buf[i] << (i % 4 * 8);\n    }\n    return sum == 0x1F2E ? 0 : 1;\n}\n\n"
)


def bench_text(size):
    return ((PROSE * 3 + CODE * 3) * (size // 2000 + 1))[:size]


def random_char(rng):
    kind = rng.random()
    if kind < 0.35:
        return chr(rng.randrange(32, 127))
    if kind < 0.55:
        return chr(rng.randrange(0, 0x250))
    while True:
        code = rng.randrange(0x250, 0x3000) if kind < 0.75 else rng.randrange(0x3000, 0x20000) if kind < 0.95 else rng.randrange(0x110000)
        if not 0xD800 <= code < 0xE000:
            return chr(code)


MARKS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.combining(chr(c))]


def one(rng, added):
    kind = rng.randrange(7)
    length = rng.choice((1, 2, 3, 5, 8, 13, 40, 120))
    if kind == 0:
        return "".join(random_char(rng) for _ in range(length))
    if kind == 1 and added:
        space = ("", "", " ", "  ", "\n", "x", "é", "1", "_")
        return "".join(rng.choice(space) + (rng.choice(added) if rng.random() < 0.6 else rng.choice(PIECES)) + rng.choice(space)
                       for _ in range(min(length, 20)))
    if kind == 2:
        start = rng.randrange(len(PROSE))
        return (PROSE + CODE)[start : start + length * 3]
    if kind == 3:
        return "".join(rng.choice("aAbe\u212b\u0f40") + "".join(rng.choice(MARKS) for _ in range(rng.randrange(4))) for _ in range(length))
    if kind == 4:
        base = rng.choice([0x20, 0x60, 0xA0, 0x100, 0x300, 0x400, 0x600, 0x900, 0xE00, 0x1100, 0x1E00, 0x2000, 0x2100, 0x3040, 0x4E00, 0xAC00, 0xFB00, 0x1D400, 0x1F600, 0x11900])
        return "".join(chr(base + rng.randrange(96)) + rng.choice(("", "", " ", "'s")) for _ in range(length))
    return "".join(rng.choice(PIECES) for _ in range(length))


def texts(count, seed, added=()):
    """`count` texts, the fixed ones first; `added`: contents of added tokens to put inside."""
    rng = random.Random(seed)
    out = list(FIXED)
    if added:
        some = list(added)[:40]
        out += [t + x for t in some[:12] for x in ("", " ", "a", t, " " + t)]
        out += [" " + t for t in some] + ["a  " + t + "  b" for t in some]
        added = some + rng.sample(list(added), min(60, len(added)))
    while len(out) < count:
        out.append(one(rng, added))
    return out
