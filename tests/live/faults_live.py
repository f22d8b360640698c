#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs `loraproof validate` on seeded faults and on harmless changes: is each found by its check?

faults_live.py --binary PATH --base DIR --adapter DIR --golden SUITE --work DIR [--only WORD]...
faults_live.py --make-only ... makes the cases without running the binary.

A case passes when the exit status is the expected one, the JSON report agrees with it, and the checks
that are meant for the fault have failed in it (or the error says what was wrong). A harmless change
must end with exit 0 and no failed check.
"""

import argparse
import dataclasses
import os
import pathlib
import shutil
import sys

from fault_cases import CASES
from fault_support import FAIL, INPUT, Inputs, command, copy_golden, problems_of
from live_support import Tally, die, fresh_folder, run, skip

# The demo is tiny, and threads that wait for each other on a busy machine cost more than they give.
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def run_case(tally, case, clean, options):
    folder = fresh_folder(options.work / case.name)
    try:
        inputs = case.make(clean, folder)
    except Exception as error:  # a case that can't be made must not hide the others
        tally.check(case.name, False, f"could not be made: {error!r}")
        return
    if options.make_only:
        tally.check(case.name, True, f"{inputs.base} {inputs.adapter}")
        return
    environment = {**ONE_THREAD, **inputs.environment}
    status, output, errors = run(command(options.binary, inputs), env=environment)
    problems, found = problems_of(case, status, output, errors)
    tally.check(case.name, not problems, "; ".join(problems) if problems else f"exit {status} {found}")


def few_prompts_recorded(tally, clean, options):
    """A suite of five prompts can be recorded, but a validation with it is inconclusive."""
    inputs = copy_golden(clean, fresh_folder(options.work / "five-prompts"))
    path = inputs.golden / "prompts.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(True)[:5]), encoding="utf-8")
    shutil.rmtree(inputs.golden / "references", ignore_errors=True)
    status, _, errors = run([*command(options.binary, inputs), "--record"], env=ONE_THREAD)
    if status != 0:
        tally.check("five prompts", False, f"--record: exit {status}: {errors.strip()[-300:]}")
        return
    again, _, _ = run([*command(options.binary, inputs), "--record"], env=ONE_THREAD)
    forced, _, _ = run([*command(options.binary, inputs), "--record", "--force"], env=ONE_THREAD)

    def validate(words):
        return run(command(options.binary, inputs) + words, env=ONE_THREAD)

    outcomes = [again, forced, *(validate(words)[0] for words in WAYS)]
    tally.check("five prompts", outcomes == [INPUT, 0, 4, 0, FAIL], f"exits {outcomes}")


WAYS = [[], ["--inconclusive", "pass"], ["--inconclusive", "fail"]]


def same_report_twice(tally, clean, options):
    words = command(options.binary, dataclasses.replace(clean, words=("--threads", "1")))
    first, second = run(words), run(words)
    tally.check("same report twice", first[0] == 0 and first[1] == second[1], "bit for bit")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--base", type=pathlib.Path, required=True)
    parser.add_argument("--adapter", type=pathlib.Path, required=True)
    parser.add_argument("--golden", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--only", action="append", metavar="WORD")
    parser.add_argument("--make-only", action="store_true")
    options = parser.parse_args()
    for path in (options.base, options.adapter, options.golden):
        if not path.exists():
            return skip(f"{path} does not exist")
    if not options.make_only and not options.binary.exists():
        die(f"{options.binary} does not exist")
    tally = Tally()
    clean = Inputs(options.base.resolve(), options.adapter.resolve(), options.golden.resolve())
    chosen = [c for c in CASES if not options.only or any(word in c.name for word in options.only)]
    for case in chosen:
        run_case(tally, case, clean, options)
    if not options.only and not options.make_only:
        few_prompts_recorded(tally, clean, options)
        same_report_twice(tally, clean, options)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
