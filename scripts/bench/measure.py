#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the benchmark scripts share: times whole processes and sums their log up.

    measure.py run LOG NAME COMMAND...       runs the command (output thrown away) and appends
                                             "NAME seconds peak_rss_kb processor_seconds"
    measure.py summary LOG [OURS PEER...]    minimum, median, maximum and peak RSS per name; ratios of medians

Processor time is that of all threads: on a busy machine it says more than the clock does.
Peak RSS is what the kernel counts for the process (VmHWM): pages of mapped files that were resident are part of it.
"""

import resource
import statistics
import subprocess
import sys
import time


def run(log, name, command):
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stderr)
        sys.exit(f"{name}: exit {done.returncode}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(log, "a") as file:
        print(name, seconds, used.ru_maxrss, used.ru_utime + used.ru_stime, file=file)


def summary(log, names):
    rows = [line.split() for line in open(log)]
    median, processor = {}, {}
    for name in dict.fromkeys(row[0] for row in rows):
        seconds = [float(row[1]) for row in rows if row[0] == name]
        rss_mb = max(int(row[2]) for row in rows if row[0] == name) / 1024
        median[name] = statistics.median(seconds)
        processor[name] = statistics.median(float(row[3]) for row in rows if row[0] == name)
        print(
            f"{name:16} min {min(seconds):7.2f} s  median {median[name]:7.2f} s  max {max(seconds):7.2f} s"
            f"  processor {processor[name]:7.2f} s  peak RSS {rss_mb:6.0f} MiB  n {len(seconds)}"
        )
    for peer in names[1:]:
        ours = names[0]
        print(
            f"ratio of medians {median[peer] / median[ours]:.1f} ({peer} / {ours}),"
            f" of processor time {processor[peer] / processor[ours]:.1f}"
        )


def main():
    if len(sys.argv) > 4 and sys.argv[1] == "run":
        run(sys.argv[2], sys.argv[3], sys.argv[4:])
    elif len(sys.argv) > 2 and sys.argv[1] == "summary":
        summary(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(__doc__)


main()
