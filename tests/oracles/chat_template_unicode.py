#!/usr/bin/env python3
"""Writes unicode_classes.cpp and unicode_case.cpp: what Python's str methods know of Unicode.

Usage: chat_template_unicode.py lib/loraproof/text/jinja
Python itself is the source, so that `upper`, `isalnum` or repr() agree with the Jinja of transformers.
"""
import contextlib
import pathlib
import sys
import unicodedata

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(predicate):
    out, start, last = [], None, None
    for c in POINTS:
        if predicate(chr(c)):
            if start is None:
                start = c
            elif c != last + 1:
                out.append((start, last))
                start = c
            last = c
        elif start is not None:
            out.append((start, last))
            start = None
    if start is not None:
        out.append((start, last))
    return out


def join_runs(single):
    runs = []
    for c, delta in single:
        if runs:
            first, last, stride, d = runs[-1]
            if d == delta and (c - last == stride or (first == last and c - last <= 2)):
                runs[-1] = (first, c, c - last, d)
                continue
        runs.append((c, c, 1, delta))
    return runs


def strided(predicate):
    return join_runs([(c, 0) for c in POINTS if predicate(chr(c))])


def shifts(convert):
    """Runs (first, last, stride, delta) of single-character mappings, and the longer ones apart."""
    single, special = [], []
    for c in POINTS:
        to = convert(chr(c))
        if to == chr(c):
            continue
        if len(to) == 1:
            single.append((c, ord(to) - c))
        else:
            special.append((c, [ord(x) for x in to] + [0] * (3 - len(to))))
    return join_runs(single), special


def emit(type_, name, rows, row_format):
    print(f"const {type_} {name}[] = {{")
    line = "  "
    for row in rows:
        item = row_format(row) + ","
        if len(line) + len(item) > 100:
            print(line)
            line = "  "
        line += item
    print(line)
    print("};")
    print(f"const std::size_t {name}_size = sizeof({name}) / sizeof({name}[0]);\n")


def final_sigma(before):
    return (before + "\u03a3").lower().endswith("\u03c2")


def head():
    print("// SPDX-License-Identifier: Apache-2.0")
    print(f"// Made by tests/oracles/chat_template_unicode.py from Unicode {unicodedata.unidata_version}. Do not edit.")
    print('#include "loraproof/text/jinja/unicode_tables.h"\n')
    print("// clang-format off\nnamespace loraproof::text::jinja {\n")


def classes():
    row = lambda r: f"{{{r[0]},{r[1]}}}"
    emit("CodeRange", "kAlpha", ranges(str.isalpha), row)
    emit("CodeRange", "kDecimal", ranges(str.isdecimal), row)
    # Beyond the decimal digits, and beyond all digits.
    emit("CodeRange", "kOtherDigit", ranges(lambda c: c.isdigit() and not c.isdecimal()), row)
    emit("CodeRange", "kOtherNumeric", ranges(lambda c: c.isnumeric() and not c.isdigit()), row)
    emit("CodeRange", "kUnprintable", ranges(lambda c: not c.isprintable()), row)


def cases():
    row = lambda r: f"{{{r[0]},{r[1]}}}"
    run = lambda r: f"{{{r[0]},{r[1]},{r[2]},{r[3]}}}"
    special = lambda r: f"{{{r[0]},{{{r[1][0]},{r[1][1]},{r[1][2]}}}}}"
    emit("CaseRun", "kLowercase", strided(str.islower), run)
    emit("CaseRun", "kUppercase", strided(str.isupper), run)
    emit("CodeRange", "kTitlecase", ranges(lambda c: unicodedata.category(c) == "Lt"), row)
    emit("CodeRange", "kCaseIgnorable",
         ranges(lambda c: final_sigma("A" + c) and not final_sigma("1" + c)), row)
    # Title case where it is not the upper case.
    title = lambda c: c.title() if c.title() != c.upper() else c
    for name, convert in (("Lower", str.lower), ("Upper", str.upper), ("Title", title)):
        runs, specials = shifts(convert)
        emit("CaseRun", f"k{name}Runs", runs, run)
        emit("CaseSpecial", f"k{name}Special", specials, special)


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, write in (("unicode_classes.cpp", classes), ("unicode_case.cpp", cases)):
        with open(folder / name, "w", encoding="utf-8") as out, contextlib.redirect_stdout(out):
            head()
            write()
            print("}  // namespace loraproof::text::jinja")


if __name__ == "__main__":
    sys.exit(main())
