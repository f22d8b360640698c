#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Validates reports against docs/schema/report-1.json: report_schema.py SCHEMA FOLDER|FILE...

Exit 0: all valid, 1: one is not, 77: jsonschema is not installed.
"""
import json
import pathlib
import sys

try:
    import jsonschema
except ImportError:
    print("jsonschema is not installed")
    sys.exit(77)


def refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


schema = json.loads(pathlib.Path(sys.argv[1]).read_text())
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)

paths = []
for argument in map(pathlib.Path, sys.argv[2:]):
    paths += sorted(argument.glob("*.json")) if argument.is_dir() else [argument]
if not paths:
    sys.exit("no reports to validate")

failed = False
for path in paths:
    report = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse_constant)
    for error in validator.iter_errors(report):
        failed = True
        print(f"{path.name}: {error.json_path}: {error.message}")

# The schema must be able to refuse: each of these breaks one valid report.
valid = json.loads(paths[0].read_text(encoding="utf-8"))
for name, broken in {
    "unknown verdict": {**valid, "verdict": "ok"},
    "pass with exit 3": {**valid, "verdict": "pass", "exit_code": 3},
    "error without its detail": {**{k: v for k, v in valid.items() if k != "error"},
                                 "verdict": "error", "exit_code": 3},
    "unknown top-level key": {**valid, "extra": 1},
    "check without a status": {**valid, "checks": [{"id": "a.b"}]},
}.items():
    if validator.is_valid(broken):
        failed = True
        print(f"the schema accepts a report with: {name}")

print(f"{len(paths)} reports checked")
sys.exit(1 if failed else 0)
