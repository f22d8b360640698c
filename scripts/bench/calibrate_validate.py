#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is `loraproof validate` a gate that finds what it must and leaves the rest alone? On SmolLM2.

calibrate_validate.py --binary PATH --base DIR --work DIR [--markdown FILE] [--log FILE.jsonl]
    --seeds N          suites, each of other held-out prompts (5)
    --prompts N        prompts in a suite (40; below 32 golden.text can't be decided)
    --compute C        in which references are recorded and faults are tried (bf16); fp32 is several
                       times faster on a CPU without BF16 instructions
    --part PART        faults, behaviour, clean, reported, healthy, revision; repeatable (all)
    --only PATTERN     cases whose name matches the regular expression
    --jobs N           runs at the same time, on one thread each (2)
    --resume           go on where an interrupted calibration with the same --log stopped

Each seed draws its own prompts, none of which the adapter was trained on, and records its own
reference, which all parts then use:
    faults      each must end as its case says, found by the check that is meant for it
    behaviour   faults that leave text and figures changed, with all identity checks set to warn:
                a golden check must find them, and identity must warn. The part "faults" then tries
                them on the first seed only: the same run, but for that setting
    clean       changes that must end with exit 0 and no failed check
    reported    changes for which neither answer is wrong: the outcome is told
    healthy     combinations of layout, threads, memory and compute type (40 a seed): exit codes
    revision    --against revision: a retrained adapter passes, one of a tenth of the data fails

Ends with 0 if every expectation is met, of healthy re-runs at least 99 in 100. The log holds every
run with its golden figures and limits. A reference that is in --work already is used again: remove
it when recording has changed.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import sys
import time

import calibration_cases as cases
from calibration_cases import BEHAVIOUR, BY_BEHAVIOUR, CLEAN, FAULTS, REPORTED, REPOSITORY
from fault_support import FAIL, PASS, Case, Inputs, command, problems_of
from live_support import die, fresh_folder, run

sys.path.insert(0, str(REPOSITORY / "scripts" / "models"))
from train_smollm2_adapter import unseen_prompts, write_suite  # noqa: E402

PARTS = ("faults", "behaviour", "clean", "reported", "healthy", "revision")
FIRST_SEED = 101
TIMEOUT = 3600
HEALTHY_SHARE = 0.99


@dataclasses.dataclass
class Outcome:
    """One run: what was tried on which seed's suite, and what came of it."""

    part: str
    name: str
    seed: int
    status: int | None
    problems: list
    found: str
    figures: dict
    seconds: float

    @property
    def ok(self):
        return not self.problems


def figures_of(output):
    """check id -> [status, value, limit] of the golden checks; empty where the report has none."""
    try:
        checks = json.loads(output)["checks"]
    except (ValueError, KeyError):
        return {}
    return {
        check["id"]: [check["status"], check["value"], check["limit"]]
        for check in checks
        if check["id"].startswith("golden.")
    }


def words_of(inputs, options):
    """The case's own words, and the calibration's compute type and one thread where it has none."""
    words = list(inputs.words)
    words += [] if "--compute" in words else ["--compute", options.compute]
    words += [] if "--threads" in words else ["--threads", "1"]
    return (*words, "--reference", "adapter")


def threads_of(words):
    return int(words[words.index("--threads") + 1]) if "--threads" in words else 1


def run_one(part, case, inputs, seed, options):
    inputs = dataclasses.replace(inputs, words=words_of(inputs, options))
    began = time.monotonic()
    environment = {**os.environ, **inputs.environment}
    status, output, errors = run(command(options.binary, inputs), TIMEOUT, environment)
    problems, found = problems_of(case, status, output, errors)
    seconds = time.monotonic() - began
    return Outcome(part, case.name, seed, status, problems, found, figures_of(output), seconds)


def earlier_outcomes(options):
    if not options.resume or not options.log or not options.log.exists():
        return []
    return [Outcome(**json.loads(line)) for line in options.log.read_text(encoding="utf-8").splitlines()]


class Bench:
    """Runs cases on the suites of all seeds, prints a line for each run, and keeps the outcomes."""

    def __init__(self, options, suites):
        self.options = options
        self.suites = suites  # seed -> Inputs with its recorded suite
        self.outcomes = earlier_outcomes(options)
        self.done = {(one.part, one.name, one.seed) for one in self.outcomes}
        self.log = options.log.open("a" if options.resume else "w", encoding="utf-8") if options.log else None

    def keep(self, outcome):
        self.outcomes.append(outcome)
        detail = "; ".join(outcome.problems) or outcome.found
        print(
            f"{'ok  ' if outcome.ok else 'MISS'} {outcome.part:<9} {outcome.name:<42} seed {outcome.seed}  "
            f"{outcome.seconds:5.1f} s  exit {outcome.status} {detail}",
            flush=True,
        )
        if self.log:
            self.log.write(json.dumps(dataclasses.asdict(outcome)) + "\n")
            self.log.flush()

    def run_all(self, runs):
        """Runs (part, case, inputs, seed): those on one thread together, the others alone."""
        runs = [one for one in runs if (one[0], one[1].name, one[3]) not in self.done]
        together = [one for one in runs if threads_of(one[2].words) == 1]
        alone = [one for one in runs if threads_of(one[2].words) > 1]
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            for outcome in pool.map(lambda one: run_one(*one, self.options), together):
                self.keep(outcome)
        for one in alone:
            self.keep(run_one(*one, self.options))

    def make(self, name, make, clean):
        """The case's folders; None, and a miss, where they can't be made."""
        folder = fresh_folder(self.options.work / "case" / re.sub(r"\W+", "-", name))
        try:
            return make(clean, folder)
        except Exception as error:  # one case that can't be made must not end the calibration
            self.keep(Outcome("making", name, 0, None, [repr(error)], "", {}, 0.0))
            return None

    def on_all_seeds(self, name, make):
        """{seed: inputs}. What a case changes is made once, unless it changes the suite."""
        first, *others = self.suites
        made = self.make(name, make, self.suites[first])
        if made is None:
            return {}
        inputs = {first: made}
        for seed in others:
            golden = self.suites[seed].golden
            if made.golden != self.suites[first].golden:
                again = self.make(f"{name} {seed}", make, self.suites[seed])
                if again is None:
                    continue
                golden = again.golden
            inputs[seed] = dataclasses.replace(made, golden=golden)
        return inputs

    def clear(self):
        shutil.rmtree(self.options.work / "case", ignore_errors=True)


def chosen(names, options):
    return [name for name in names if not options.only or re.search(options.only, name)]


def try_cases(bench, part, table):
    """Each case of the table on each seed; of a fault also by behaviour alone, where that is asked."""
    parts = bench.options.part
    by_name = {case.name: case for case in table}
    for name in chosen(by_name, bench.options):
        case = by_name[name]
        alone = part == "faults" and name in BY_BEHAVIOUR and "behaviour" in parts
        if part not in parts and not alone:
            continue
        runs = []
        for seed, inputs in bench.on_all_seeds(name, case.make).items():
            if part in parts and not (alone and seed != FIRST_SEED):
                runs.append((part, case, inputs, seed))
            if alone:
                warned = dataclasses.replace(inputs, words=(*inputs.words, *cases.identity_warns()))
                seen = [f"{check}=warn" if check in cases.IDENTITY else check for check in case.finds]
                blind = Case(name, FAIL, case.make, seen, any_of=BEHAVIOUR)
                runs.append(("behaviour", blind, warned, seed))
        bench.run_all(runs)
        bench.clear()


def try_healthy(bench):
    """Every layout with every way, on every seed."""
    other = {"bf16": "fp32", "fp32": "bf16"}[bench.options.compute]
    for layout in chosen(cases.LAYOUTS, bench.options):
        runs = []
        for seed, inputs in bench.on_all_seeds(layout, cases.LAYOUTS[layout]).items():
            for which, words in cases.WAYS:
                compute = other if which == "other" else bench.options.compute
                words = (*words, "--compute", compute)
                case = Case(f"{layout}, {' '.join(words)}", PASS, None)
                runs.append(("healthy", case, dataclasses.replace(inputs, words=words), seed))
        bench.run_all(runs)
        bench.clear()


REVISIONS = [
    Case("adapter-retrained", PASS, None),
    Case(
        "adapter-tenth",
        FAIL,
        None,
        any_of=("golden.expected_flips", "golden.expected_nll"),
    ),
]


def try_revisions(bench):
    runs = []
    for case in REVISIONS:
        if chosen([case.name], bench.options):
            for seed, clean in bench.suites.items():
                adapter = cases.REVISIONS / case.name
                words = ("--against", "revision")
                inputs = dataclasses.replace(clean, adapter=adapter, words=words)
                runs.append(("revision", case, inputs, seed))
    bench.run_all(runs)


def record(options, seed):
    """The seed's suite, recorded with the shipped adapter; one that is there is used again."""
    suite = options.work / f"suite-{options.prompts}-{options.compute}-{seed}"
    clean = Inputs(options.base, cases.REVISIONS / "adapter", suite)
    if (suite / "references").is_dir():
        return clean
    write_suite(suite, unseen_prompts(seed, options.prompts))
    words = ["--record", "--threads", "1", "--compute", options.compute]
    status, _, errors = run([*command(options.binary, clean), *words], TIMEOUT)
    if status != 0:
        die(f"seed {seed}: --record: exit {status}: {errors.strip()[-400:]}")
    return clean


def record_all(options):
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        return dict(zip(seeds, pool.map(lambda seed: record(options, seed), seeds)))


# ---- tables ----


def grouped(outcomes, part):
    groups = collections.defaultdict(list)
    for outcome in outcomes:
        if outcome.part == part:
            groups[outcome.name].append(outcome)
    return groups


def found_by(runs):
    """The checks that failed, those that failed on all seeds first."""
    counts = collections.Counter(check for run in runs for check in run.found.split(", ") if check)
    most = [f"{check}{'' if n == len(runs) else f' ({n})'}" for check, n in counts.most_common()]
    return ", ".join(most)


def figure_range(runs, check):
    values = [run.figures[check][1] for run in runs if run.figures.get(check, [0, None])[1] is not None]
    return f"{min(values):.3g} to {max(values):.3g}" if values else ""


def table_of(part, groups):
    judged = {"faults": "found", "behaviour": "found", "reported": "passed"}.get(part, "as meant")
    lines = [f"| case | {judged} | exit | checks that failed | KL prompt | cosine |", "|---|---|---|---|---|---|"]
    for name, runs in groups.items():
        exits = ", ".join(str(status) for status in sorted({str(run.status) for run in runs}))
        lines.append(
            f"| {name} | {sum(run.ok for run in runs)}/{len(runs)} | {exits} | {shortened(found_by(runs))} | "
            f"{figure_range(runs, 'golden.kl_prompt')} | {figure_range(runs, 'golden.embedding_cosine')} |"
        )
    return lines


def shortened(text, limit=160):
    """An error message holds paths of this machine: only its beginning up to one is kept."""
    text = re.sub(r"/\S+/", "", text).replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def document(options, outcomes):
    lines = [
        "# Calibration of validate",
        "",
        f"`scripts/bench/calibrate_validate --seeds {options.seeds} --prompts {options.prompts} "
        f"--compute {options.compute}`, on SmolLM2-135M-Instruct with the adapters of `tests/fixtures/smollm2`. "
        "Each seed has prompts of its own.",
    ]
    for part in PARTS:
        groups = grouped(outcomes, part)
        if not groups:
            continue
        runs = [run for group in groups.values() for run in group]
        met = sum(run.ok for run in runs)
        lines += ["", f"## {part.capitalize()}", "", f"{met} of {len(runs)} runs as meant.", ""]
        lines += table_of(part, groups)
    return "\n".join(lines) + "\n"


def is_met(outcomes):
    """Every run as meant, those that are only reported aside; one healthy re-run in 100 may fail."""
    healthy = [outcome for outcome in outcomes if outcome.part == "healthy"]
    others = [outcome for outcome in outcomes if outcome.part not in ("healthy", "reported")]
    enough = sum(outcome.ok for outcome in healthy) >= HEALTHY_SHARE * len(healthy)
    return bool(outcomes) and enough and all(outcome.ok for outcome in others)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--base", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--markdown", type=pathlib.Path)
    parser.add_argument("--log", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--compute", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--only", metavar="PATTERN")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    options.part = options.part or list(PARTS)
    for path in (options.binary, options.base):
        if not path.exists():
            die(f"{path} does not exist")
    return options


def main():
    options = parse()
    bench = Bench(options, record_all(options))
    try_cases(bench, "faults", FAULTS)
    try_cases(bench, "clean", CLEAN)
    try_cases(bench, "reported", REPORTED)
    if "healthy" in options.part:
        try_healthy(bench)
    if "revision" in options.part:
        try_revisions(bench)
    text = document(options, bench.outcomes)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    print(text)
    return 0 if is_met(bench.outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
