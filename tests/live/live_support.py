#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the live tests share: a tally of checks, random seeds by name, divergences in float64."""

import json
import os
import shutil
import subprocess
import sys
import zlib

import torch


def skip(message):
    """The exit status of a test that can't run here: skipped, or failed where nothing may be skipped."""
    print(message)
    return 1 if os.environ.get("LORAPROOF_REQUIRE_LIVE") == "1" else 77


class Tally:
    """Counts checks, prints one line for each, and turns the counts into an exit status."""

    def __init__(self):
        self.passed = 0
        self.failed = []

    def check(self, name, ok, detail=""):
        ok = bool(ok)
        print(f"{'ok  ' if ok else 'FAIL'} {name:<46} {detail}".rstrip(), flush=True)
        if ok:
            self.passed += 1
        else:
            self.failed.append(name)
        return ok

    def finish(self):
        for name in self.failed:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {len(self.failed)} failed")
        # A run that checked nothing is no pass.
        return 1 if self.failed or not self.passed else 0


def generator(name):
    """A random generator that depends on the name alone, so that a subset gives the same numbers."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def fresh_folder(path):
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def run(command, timeout=300, env=None):
    """(exit status, stdout, stderr); a status of None means that it ran past the time limit."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=env, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return None, "", f"ran longer than {timeout} s"
    return done.returncode, done.stdout, done.stderr


def kl_sum(p_logits, q_logits):
    """Sum over positions of KL(p || q) in nats, from logits [T, V], in float64."""
    p = torch.log_softmax(p_logits.double(), dim=-1)
    q = torch.log_softmax(q_logits.double(), dim=-1)
    return (p.exp() * (p - q)).sum().item()


def mean_kl(p_list, q_list):
    """KL(p || q) averaged over all positions of all sequences."""
    positions = sum(len(p) for p in p_list)
    return sum(kl_sum(p, q) for p, q in zip(p_list, q_list, strict=True)) / positions


def die(message):
    print(message, file=sys.stderr)
    sys.exit(2)
