#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does `validate --against revision` accept a retrained adapter and refuse one of little data?

revision_live.py --binary PATH --base DIR --adapter DIR --better DIR --worse DIR --golden SUITE --work DIR

Records the adapter in a copy of the suite, then judges against it, as revisions:
  the adapter itself   exit 0
  --better             exit 0, although its tensors are others: identity.adapter has not failed
  --worse              exit 1, with a check of correctness among the failed ones, and a message that
                       says by how much; again not because its tensors are others
and, as the same adapter, --better: exit 1 by identity.adapter.
"""

import argparse
import json
import pathlib
import shutil
import sys

from fault_support import failed_checks
from live_support import Tally, die, fresh_folder, run, skip

# Both revisions differ from the recorded adapter by far more than the compute types do, and FP32 is
# the faster one on a CPU without BF16 instructions.
WORDS = ["--format", "json", "--compute", "fp32", "--threads", "1"]
CORRECTNESS = {"golden.expected_flips", "golden.expected_nll"}
TIMEOUT = 1100


def validate(options, suite, adapter, words):
    """(exit status, report or None, what stderr says)."""
    places = ["--base", options.base, "--adapter", adapter, "--golden", suite]
    status, output, errors = run([options.binary, "validate", *places, *WORDS, *words], TIMEOUT)
    try:
        return status, json.loads(output), errors
    except ValueError:
        return status, None, errors


def judge(options, suite, adapter, against):
    words = ["--reference", options.adapter.name, "--against", against]
    status, report, errors = validate(options, suite, adapter, words)
    failed = set(failed_checks(report)) if report else set()
    detail = f"exit {status} {', '.join(sorted(failed))}" if report else f"exit {status}: {errors[-300:]}"
    return status, report, failed, detail


def says_why(report, checks):
    """Has each of these failed checks a value, a limit and a message?"""
    return all(
        check["message"] and check["value"] is not None and check["limit"] is not None
        for check in report["checks"]
        if check["id"] in checks and check["status"] == "fail"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("binary", "base", "adapter", "better", "worse", "golden", "work"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    options = parser.parse_args()
    for path in (options.base, options.adapter, options.better, options.worse, options.golden):
        if not path.exists():
            return skip(f"{path} does not exist")
    if not options.binary.exists():
        die(f"{options.binary} does not exist")
    tally = Tally()
    suite = fresh_folder(options.work) / "suite"
    shutil.copytree(options.golden, suite, ignore=shutil.ignore_patterns("references"))
    status, _, errors = validate(options, suite, options.adapter, ["--record"])
    if not tally.check("reference recorded", status == 0, errors.strip()[-300:] if status else ""):
        return tally.finish()

    for name, adapter in {"the adapter itself": options.adapter, "retrained": options.better}.items():
        status, _, failed, detail = judge(options, suite, adapter, "revision")
        tally.check(f"{name}, as a revision", status == 0 and not failed, detail)
    status, report, failed, detail = judge(options, suite, options.worse, "revision")
    tally.check("of little data, as a revision", status == 1 and failed & CORRECTNESS, detail)
    tally.check("not because it is another one", report and "identity.adapter" not in failed, detail)
    tally.check("says why", report and says_why(report, CORRECTNESS))
    status, _, failed, detail = judge(options, suite, options.better, "same")
    tally.check("retrained, as the same", status == 1 and "identity.adapter" in failed, detail)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
