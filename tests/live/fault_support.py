#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What seeded faults are made and judged with: copies of base, adapter and suite that differ in one
thing, the command that validates them, and whether the outcome is the one that was meant.

Used by fault_cases.py and faults_live.py here, and by scripts/bench/calibrate_validate.py.
"""

import dataclasses
import json
import pathlib
import re
import shutil
import struct
from collections.abc import Callable

import torch
from live_support import fresh_folder, generator, read_json, write_json
from safetensors.torch import load_file, save_file

PASS, FAIL, USAGE, INPUT, INCONCLUSIVE = 0, 1, 2, 3, 4
ADAPTER = "adapter_model.safetensors"
PREFIX = "base_model.model."


@dataclasses.dataclass
class Inputs:
    """What a run is given: three folders (adapter None: merged), more words, more environment."""

    base: pathlib.Path | str
    adapter: pathlib.Path | None
    golden: pathlib.Path
    words: tuple = ()
    environment: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    exit_status: int
    make: Callable  # (Inputs, empty folder) -> Inputs
    finds: tuple = ()  # check ids that must have failed; "id=status" for another status
    says: str = ""  # regular expression that the error must match
    any_of: tuple = ()  # at least one of these must have failed


def case_adder(cases):
    """A decorator, case(name, exit status, ...), that adds what it decorates to `cases`."""

    def case(name, exit_status, finds=(), says="", any_of=()):
        def add(make):
            cases.append(Case(name, exit_status, make, tuple(finds), says, tuple(any_of)))
            return make

        return add

    return case


def copy_adapter(inputs, folder, tensors=None, config=None):
    """The adapter with tensors (dict -> dict) and configuration fields changed."""
    copy = folder / inputs.adapter.name
    shutil.copytree(inputs.adapter, copy)
    if tensors:
        save_file(tensors(load_file(inputs.adapter / ADAPTER)), copy / ADAPTER, {"format": "pt"})
    if config:
        write_json(copy / "adapter_config.json", {**read_json(copy / "adapter_config.json"), **config})
    return dataclasses.replace(inputs, adapter=copy)


def copy_base(inputs, folder, tensors=None, config=None):
    copy = folder / "base"
    shutil.copytree(inputs.base, copy)
    if tensors:
        path = copy / "model.safetensors"
        save_file(tensors(load_file(path)), path, {"format": "pt"})
    if config:
        write_json(copy / "config.json", {**read_json(copy / "config.json"), **config})
    return dataclasses.replace(inputs, base=copy)


def copy_golden(inputs, folder):
    copy = folder / "suite"
    shutil.copytree(inputs.golden, copy)
    return dataclasses.replace(inputs, golden=copy)


def some(tensors, part):
    """The first tensor name, in order, that holds the word."""
    return next(name for name in sorted(tensors) if part in name)


def change_one(tensors, part, change):
    name = some(tensors, part)
    return {**tensors, name: change(tensors[name].clone()).contiguous()}


def noisy(tensor, size, name):
    noise = torch.randn(tensor.shape, generator=generator(name)).to(tensor.dtype)
    return tensor + size * tensor.float().std().to(tensor.dtype) * noise


def set_first(value):
    def change(tensor):
        tensor.view(-1)[0] = value
        return tensor

    return change


def layer_count(inputs):
    return read_json(pathlib.Path(inputs.base) / "config.json")["num_hidden_layers"]


def renamed(tensors, rename):
    return {rename(name): tensor for name, tensor in tensors.items()}


def merged_base(inputs, folder):
    """A bf16 copy with the adapter merged by PEFT."""
    import oracle

    model = oracle.load(inputs.base, inputs.adapter, torch.bfloat16).merge_and_unload()
    model.save_pretrained(fresh_folder(folder / "merged"))
    for path in pathlib.Path(inputs.base).iterdir():
        if path.name.startswith(("tokenizer", "chat_template", "special_tokens", "vocab", "merges")):
            shutil.copy(path, folder / "merged")
    return folder / "merged"


def edit_tokenizer(inputs, folder, edit):
    changed = copy_base(inputs, folder)
    tokenizer = read_json(changed.base / "tokenizer.json")
    edit(tokenizer)
    write_json(changed.base / "tokenizer.json", tokenizer)
    return changed


def hostile(inputs, folder, change):
    """The adapter's file with its bytes changed: change(header dict, header bytes, data) -> bytes."""
    changed = copy_adapter(inputs, folder)
    path = changed.adapter / ADAPTER
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    path.write_bytes(change(json.loads(data[8 : 8 + length]), data[8 : 8 + length], data[8 + length :]))
    return changed


def with_header(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


VERDICTS = {0: "pass", 1: "fail", 3: "error", 4: "inconclusive"}


def command(binary, inputs):
    words = [binary, "validate", "--base", inputs.base, "--golden", inputs.golden]
    words += ["--adapter", inputs.adapter] if inputs.adapter else []
    return [*words, "--format", "json", *inputs.words]


def matches(report, wanted):
    """Does the report hold a check with this id and status ("id" means failed)?"""
    check_id, _, status = wanted.partition("=")
    return any(
        check["id"] == check_id and check["status"] == (status or "fail") for check in report["checks"]
    )


def failed_checks(report):
    return sorted({check["id"] for check in report["checks"] if check["status"] == "fail"})


def problems_of(case, status, output, errors):
    """What is wrong with this outcome, as a list of sentences; and a word on what was found."""
    if status != case.exit_status:
        return [f"exit {status} instead of {case.exit_status}: {(errors or output).strip()[-300:]}"], ""
    if case.exit_status == USAGE:
        return ([] if errors.strip() and not output.strip() else ["no message on stderr alone"]), "usage"
    try:
        report = json.loads(output)
    except ValueError as error:
        return [f"stdout is no JSON: {error}"], ""
    problems = []
    if report["exit_code"] != status or report["verdict"] != VERDICTS[status]:
        problems.append(f"report says {report['verdict']} with exit {report['exit_code']}")
    problems += [f"{wanted} is not in the report" for wanted in case.finds if not matches(report, wanted)]
    if case.any_of and not any(matches(report, wanted) for wanted in case.any_of):
        problems.append(f"none of {', '.join(case.any_of)}")
    if case.exit_status == PASS and failed_checks(report):
        problems.append("a check failed")
    error = report.get("error") or {}
    if case.exit_status == INPUT:
        text = " ".join(str(value) for value in error.values())
        if not error.get("message") or not re.search(case.says, text, re.IGNORECASE):
            problems.append(f"the error does not say {case.says!r}: {text}")
        return problems, str(error.get("message"))
    found = ", ".join(failed_checks(report))
    return problems + ([f"failed checks: {found}"] if problems and found else []), found
