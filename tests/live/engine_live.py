#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds loraproof's engine against transformers and PEFT, on tiny random models and a real one.

engine_live.py --probe PATH --work DIR [--only WORD]... [--reuse] [--smollm2 DIR [--adapter DIR]]

PATH is the engine_probe executable: engine_probe --base DIR [--adapter DIR] --ids FILE.json
--compute fp32|bf16 --memory resident|streamed --out FILE.safetensors [--generate N]. It writes
logits.<i>, hidden.<i> and generated.<i>; a refused model ends it with exit 3 and a message on stderr.

The rules, per case (a model with or without an adapter):
  fp32      largest difference of logits, and of hidden states, at most 1e-4 of the range of the
            reference's values; resident and streamed alike
  bf16      KL(ours bf16 || transformers bf16) at most twice KL(transformers bf16 || transformers
            fp32), both averaged over all positions of all sequences; streamed equals resident bit
            for bit
  greedy    the tokens equal `generate`, or the first difference is a tie: in bf16 transformers'
            logits of the two tokens lie no further apart than twice the largest difference between
            its bf16 and fp32 logits at that position; in fp32 no further apart than twice the
            largest difference between our logits and its own (random models do have such ties, and
            which way they fall depends on the processor)
--only chooses the cases whose name holds the word; --reuse takes the expectations of an earlier run.
"""

import argparse
import dataclasses
import os
import pathlib
import sys

import oracle
import torch
from live_support import Tally, die, mean_kl, run, skip, write_json
from safetensors.torch import load_file, save_file
from zoo import build
from zoo_adapters import build_adapters
from zoo_refused import build_refused

FP32_LIMIT = 1e-4  # of the range of the reference's values
KL_LIMIT = 2.0  # times the KL between transformers' own bf16 and fp32 runs
KL_FLOOR = 1e-8  # nats; below it the KL is rounding of the softmax itself
TIE_LIMIT = 2.0
NEW_TOKENS = 16
REAL_PROMPTS = [
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "Sum up in one sentence: the meeting moved from Tuesday, 3 pm, to Thursday, 10:30 am.",
    "def fibonacci(n):",
    "List three fruits, separated by commas, and nothing else.",
    "Translate to German: good morning, my friend! \N{SMILING FACE WITH OPEN MOUTH}",
]


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    base: pathlib.Path
    adapter: pathlib.Path | None
    sequences: list
    count: int = NEW_TOKENS


class Probe:
    def __init__(self, path, work, threads):
        self.path = path
        self.work = work
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}

    def command(self, case, compute, memory, count=0):
        ids = self.work / f"{case.name}.ids.json"
        write_json(ids, case.sequences)
        out = self.work / f"{case.name}.{compute}.{memory}.safetensors"
        out.unlink(missing_ok=True)
        words = [self.path, "--base", case.base, "--ids", ids, "--compute", compute]
        words += ["--memory", memory, "--out", out]
        words += ["--adapter", case.adapter] if case.adapter else []
        words += ["--generate", count] if count else []
        return words, out

    def tensors(self, case, compute, memory, count=0):
        """The tensors it wrote, or None and what it said."""
        words, out = self.command(case, compute, memory, count)
        status, _, errors = run(words, env=self.environment)
        if status != 0:
            return None, f"exit {status}: {errors.strip()[-300:]}"
        return load_file(out), ""


def expectations(case, work, reuse):
    path = work / f"{case.name}.oracle.safetensors"
    if reuse and path.exists():
        return load_file(path)
    tensors = oracle.observe(case.base, case.adapter, case.sequences, case.count)
    save_file(tensors, path)
    return tensors


def series(tensors, name, case):
    return [tensors[f"{name}.{i}"] for i in range(len(case.sequences))]


def largest(ours, theirs):
    """Largest difference; NaN counts as infinite."""
    return max(
        torch.nan_to_num((a - b).abs(), nan=float("inf")).max().item() if a.shape == b.shape else float("inf")
        for a, b in zip(ours, theirs, strict=True)
    )


def worst(ours, theirs):
    """Largest difference as a share of the range of the reference's values."""
    return largest(ours, theirs) / (max(t.max().item() for t in theirs) - min(t.min().item() for t in theirs))


def first_difference(ours, theirs):
    for position in range(max(len(ours), len(theirs))):
        if position >= len(ours) or position >= len(theirs) or ours[position] != theirs[position]:
            return position
    return None


def check_fp32(tally, case, probe, expected):
    for memory in ("resident", "streamed"):
        name = f"{case.name} fp32 {memory}"
        ours, problem = probe.tensors(case, "fp32", memory, case.count if memory == "resident" else 0)
        if ours is None:
            tally.check(name, False, problem)
            continue
        logits = worst(series(ours, "logits", case), series(expected, "logits", case))
        hidden = worst(series(ours, "hidden", case), series(expected, "hidden", case))
        ok = logits <= FP32_LIMIT and hidden <= FP32_LIMIT
        detail = f"of range: logits {logits:.1e} hidden {hidden:.1e}"
        if memory == "resident" and case.count:
            apart = largest(series(ours, "logits", case), series(expected, "logits", case))
            explained, summary = greedy(case, ours, expected, "generated", Fp32Judge(case, apart))
            ok = ok and explained
            detail += f"; {summary}"
        tally.check(name, ok, detail)


class Fp32Judge:
    """Explains a greedy answer that parts where transformers' own logits are as close as ours are to them."""

    def __init__(self, case, apart):
        self.case, self.apart, self.model = case, apart, None

    def explains(self, shared, ours, theirs):
        self.model = self.model or oracle.load(self.case.base, self.case.adapter, torch.float32)
        logits = oracle.forward(self.model, shared)[0][-1]
        margin = (logits[theirs] - logits[ours]).abs().item()
        return margin <= TIE_LIMIT * self.apart, f"margin {margin:.1e}, logits {self.apart:.1e} apart"


class Bf16Judge:
    """Explains it by the difference between transformers' own bf16 and fp32 runs."""

    def __init__(self, case):
        self.case, self.models = case, None

    def explains(self, shared, ours, theirs):
        types = (torch.bfloat16, torch.float32)
        self.models = self.models or [oracle.load(self.case.base, self.case.adapter, t) for t in types]
        bf16, fp32 = (oracle.forward(model, shared)[0][-1] for model in self.models)
        margin = (bf16[theirs] - bf16[ours]).abs().item()
        noise = (bf16 - fp32).abs().max().item()
        return margin <= TIE_LIMIT * noise, f"margin {margin:.3f}, noise {noise:.3f}"


def greedy(case, ours, expected, expected_name, judge):
    """(all explained, a summary) of the greedy answers."""
    ties, unexplained = 0, []
    for i, prompt in enumerate(case.sequences):
        a, b = ours[f"generated.{i}"].tolist(), expected[f"{expected_name}.{i}"].tolist()
        position = first_difference(a, b)
        if position is None:
            continue
        if position >= min(len(a), len(b)):
            explained, why = False, "one answer ends early"
        else:
            explained, why = judge.explains(prompt + b[:position], a[position], b[position])
        ties += explained
        unexplained += [] if explained else [f"sequence {i} token {position}: {why}"]
    equal = len(case.sequences) - ties - len(unexplained)
    return not unexplained, "; ".join([f"greedy {equal} equal {ties} ties", *unexplained])


def check_bf16(tally, case, probe, expected):
    name = f"{case.name} bf16"
    ours, problem = probe.tensors(case, "bf16", "resident", case.count)
    if ours is None:
        tally.check(name, False, problem)
        return
    theirs = series(expected, "logits_bf16", case)
    kl = mean_kl(series(ours, "logits", case), theirs)
    own = max(mean_kl(theirs, series(expected, "logits", case)), KL_FLOOR)
    eager = mean_kl(series(expected, "logits_eager", case), theirs)
    ok = kl <= KL_LIMIT * own  # false for NaN
    detail = f"KL {kl:.1e} = {kl / own:.2f} x own {own:.1e} (eager/sdpa {eager / own:.2f} x)"
    if case.count:
        explained, summary = greedy(case, ours, expected, "generated_bf16", Bf16Judge(case))
        ok = ok and explained
        detail += f"; {summary}"
    streamed, problem = probe.tensors(case, "bf16", "streamed")
    if streamed is None:
        ok, detail = False, f"{detail}; streamed: {problem}"
    elif not all(torch.equal(streamed[key], ours[key]) for key in streamed):
        ok, detail = False, f"{detail}; streamed differs from resident"
    tally.check(name, ok, detail)


def check_case(tally, case, probe, work, reuse):
    expected = expectations(case, work, reuse)
    check_fp32(tally, case, probe, expected)
    check_bf16(tally, case, probe, expected)
    return expected


def check_refused(tally, refused, probe):
    case = Case(f"refused-{refused.name}", refused.folder, None, [[3, 4, 5]])
    words, out = probe.command(case, "fp32", "resident")
    status, _, errors = run(words, env=probe.environment)
    ok = status == 3 and refused.key in errors and not out.exists()
    tally.check(case.name, ok, f"exit {status}, names {refused.key}" if ok else f"exit {status}: {errors[-300:]}")


def zoo_cases(work, only):
    """(case, name of the model whose results it must share or None) for the chosen part of the zoo."""
    folders = build(work)
    bases = {name: folder for name, (folder, _) in folders.items()}
    cases = [
        # A copy in another spelling gets its model's sequences and no greedy answers of its own.
        (Case(name, folder, None, oracle.sequences_for(twin or name), 0 if twin else NEW_TOKENS), twin)
        for name, (folder, twin) in folders.items()
    ]
    for adapter in build_adapters(work, bases):
        name = f"{adapter.model}:{adapter.name}"
        cases.append((Case(name, bases[adapter.model], adapter.folder, oracle.sequences_for(name)), None))
    refused = build_refused(work, bases["llama3"])
    chosen = [entry for entry in cases if not only or any(word in entry[0].name for word in only)]
    return chosen, [r for r in refused if not only or any(word in f"refused-{r.name}" for word in only)]


def real_cases(base, adapter, only):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    sequences = []
    for prompt in REAL_PROMPTS:
        messages = [{"role": "user", "content": prompt}]
        encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
        sequences.append(list(encoded["input_ids"]))
    cases = [Case("smollm2-135m", base, None, sequences)]
    cases += [Case("smollm2-135m:adapter", base, adapter, sequences)] if adapter else []
    return [case for case in cases if not only or any(word in case.name for word in only)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--probe", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--only", action="append", metavar="WORD")
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--smollm2", type=pathlib.Path, help="SmolLM2-135M-Instruct; alone: no zoo")
    parser.add_argument("--adapter", type=pathlib.Path, help="an adapter for it")
    options = parser.parse_args()
    if not options.probe.exists():
        die(f"{options.probe} does not exist")
    options.work.mkdir(parents=True, exist_ok=True)
    runs = options.work / "runs"
    runs.mkdir(exist_ok=True)
    threads = 2 if options.smollm2 else 1
    torch.set_num_threads(threads)
    probe = Probe(options.probe, runs, threads)
    tally = Tally()
    if options.smollm2:
        if not (options.smollm2 / "config.json").exists():
            return skip(f"{options.smollm2} holds no model: scripts/models/make_smollm2.py makes it")
        adapter = options.adapter if options.adapter and options.adapter.exists() else None
        for case in real_cases(options.smollm2, adapter, options.only):
            check_case(tally, case, probe, runs, options.reuse)
        return tally.finish()
    cases, refused = zoo_cases(options.work, options.only)
    for case, _ in cases:
        check_case(tally, case, probe, runs, options.reuse)
    for entry in refused:
        check_refused(tally, entry, probe)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
