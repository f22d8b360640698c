#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/gpu_check found out, as one JSON object a line, and the page made of it.

    gpu_check_report.py fact KEY=VALUE...    prints one line; VALUE @FILE is what that JSON file holds (null where it is missing)
    gpu_check_report.py page FACTS.jsonl     prints Markdown for docs/
"""

import json
import pathlib
import statistics
import sys


def fact(arguments):
    values = {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        if value.startswith("@"):
            file = pathlib.Path(value[1:])
            values[key] = json.loads(file.read_text()) if file.exists() and file.stat().st_size else None
        else:
            values[key] = value
    print(json.dumps(values))


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def mib(count):
    return f"{int(count) / 2**20:.0f} MiB"


def shown(value):
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def limit_text(check):
    limit = check.get("limit") or {}
    return ", ".join(sign + shown(limit[key]) for key, sign in (("min", "≥ "), ("max", "≤ ")) if limit.get(key) is not None) or "–"


class Facts:
    def __init__(self, path):
        self.all = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]

    def of(self, kind, **more):
        return [f for f in self.all if f.get("kind") == kind and all(f.get(k) == v for k, v in more.items())]


def run_of(found):
    return (found.get("report") or {}).get("run") or {}


def machine(facts):
    found = facts.of("machine")
    if not found:
        return "Nothing is known of the machine."
    m = found[0]
    where = f"GPU {m['gpu']}" if m["cuda"] == "1" else "no GPU (`--no-cuda`: the steps alone were tried)"
    lines = [f"loraproof {m['commit']}, torch {m['torch']}, {m['compiler']}, kernel {m['kernel']}; {m['cores']} cores of {m['cpu']}; {where}."]
    for carried in facts.of("packages"):
        lines.append(f"Carried: {carried['count']} Debian packages, {mib(carried['bytes'])}.")
    return " ".join(lines)


def parts(facts):
    rows = [(f["part"], f["status"], f["seconds"]) for f in facts.all if "part" in f]
    return table(["part", "", "seconds"], rows)


def checks_of(found):
    checks = {}
    for check in (found.get("report") or {}).get("checks", []):
        checks[check["id"] + (" " + check["subject"] if check["subject"] else "")] = check
    return checks


def parity(facts):
    lines = []
    for engine in facts.of("engine"):
        lines.append(f"Engine against transformers and PEFT (`engine_gpu_test`): {engine['summary'] or 'it did not run'}.")
    rows = []
    for found in facts.all:
        if found.get("kind") != "validate" or found["name"] in ("speed", "memory"):
            continue
        report = found.get("report") or {}
        failed = [c["id"] for c in report.get("checks", []) if c["status"] == "fail"]
        rows.append((found["name"], found["device"], found["options"] or "–", report.get("verdict", "no report"),
                     ", ".join(failed) or "–"))
    if rows:
        lines.append(table(["model", "device", "options", "verdict", "checks that fail"], rows))
    for name in ("demo", "smollm2"):
        sides = {f["device"]: checks_of(f) for f in facts.of("validate", name=name, options="")}
        if not sides:
            continue
        devices = sorted(sides)
        ids = [i for i in sides[devices[0]] if i.startswith("golden.") and sides[devices[0]][i]["value"] is not None]
        rows = []
        for i in ids:
            values = [shown(sides[d].get(i, {}).get("value")) for d in devices]
            rows.append([f"`{i}`", *values, limit_text(sides[devices[0]][i])])
        lines.append(f"Figures of {name}, whose reference a CPU recorded:")
        lines.append(table(["check", *devices, "limit"], rows))
    return "\n\n".join(lines) or "Not run."


def memory(facts):
    plans = {f["memory"]: f["report"] for f in facts.of("plan")}
    rows = []
    for found in facts.of("validate", name="memory"):
        plan = ((plans.get(found["options"].removeprefix("--inconclusive pass").strip()) or {}).get("metrics") or {}).get("plan") or {}
        run = run_of(found)
        gpu = f"{found['gpu_mib']} MiB" if found.get("gpu_mib") else "–"
        held = plan.get("weights_bytes_held")
        rows.append((found["options"].removeprefix("--inconclusive pass").strip() or "–", plan.get("weights", "–"), mib(held) if held is not None else "–", gpu,
                     mib(run["peak_rss_bytes"]) if run else "–", f"{run['seconds']:.2f} s" if run else "–"))
    if not rows:
        return "Not run."
    note = "GPU memory is what nvidia-smi showed at most, the CUDA context and whatever else is on the card included."
    return table(["options", "weights", "planned for weights", "GPU at most", "host RSS at most", "time"], rows) + "\n\n" + note


def speed(facts):
    size = facts.of("speed")
    rows = []
    if size:
        tokens = int(size[0]["prompts"]) * (int(size[0]["tokens"]) + int(size[0]["answer"]))
        for device in sorted({f["device"] for f in facts.of("validate", name="speed")}):
            seconds = [run_of(f)["seconds"] for f in facts.of("validate", name="speed", device=device) if run_of(f)]
            if seconds:
                middle = statistics.median(seconds)
                rows.append((device, len(seconds), f"{min(seconds):.2f} s", f"{middle:.2f} s", f"{tokens / middle:,.0f}"))
    if not rows:
        return "Not run."
    about = (f"A Llama of random weights with {size[0]['layers']} layers, {size[0]['prompts']} prompts of {size[0]['tokens']} tokens and "
             "answers of at most 2: whole `validate` commands, reading the weights included.")
    return about + "\n\n" + table(["device", "runs", "fastest", "median", "tokens/s"], rows)


def page(path):
    facts = Facts(path)
    sections = [("Machine", machine), ("Parts", parts), ("Parity", parity), ("Memory", memory), ("Speed", speed)]
    print("# Checked on a GPU\n\nMade by `scripts/gpu_check`.\n")
    for title, section in sections:
        print(f"## {title}\n\n{section(facts)}\n")


if __name__ == "__main__":
    if len(sys.argv) >= 3 and sys.argv[1] == "fact":
        fact(sys.argv[2:])
    elif len(sys.argv) == 3 and sys.argv[1] == "page":
        page(sys.argv[2])
    else:
        sys.exit(__doc__)
