#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plan of --dry-run against the run itself: bytes read and peak memory, resident and streamed.

    plan_live.py --binary loraproof --base DIR --adapter DIR --golden DIR

The estimate of memory has to be within a factor of 1.6 of what the kernel counted, either way: allocators round up, and
libtorch's own share differs between builds. Bytes read have to be equal to the byte when nothing diverges.
"""

import argparse
import json
import subprocess
import sys

from live_support import Tally

FACTOR = 1.6


def report(options, *more):
    words = [options.binary, "validate", "--base", options.base, "--adapter", options.adapter, "--golden", options.golden]
    done = subprocess.run([*words, "-q", "--format", "json", *more], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    for name in ("--binary", "--base", "--adapter", "--golden"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    tally = Tally()
    for name, flags in (("resident", []), ("streamed", ["--memory", "800KB"]), ("one layer at a time", ["--memory", "100KB"])):
        plan = report(options, "--dry-run", *flags)["metrics"]["plan"]
        run = report(options, "--timings", *flags)["run"]
        resident = plan["weights"] == "resident"
        tally.check(f"{name}: resident or streamed as planned", resident == run["resident"])
        planned, measured = plan["peak_memory_bytes"]["total"], run["peak_rss_bytes"]
        ratio = planned / measured
        tally.check(f"{name}: memory", 1 / FACTOR < ratio < FACTOR, f"planned {planned / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB")
        whole = run["bytes_read"] / plan["bytes_read_per_sweep"]
        tally.check(f"{name}: bytes", whole == 1.0 if resident else whole >= 1.0, f"{whole:.3f} of one sweep")
    return tally.finish()


sys.exit(main())
