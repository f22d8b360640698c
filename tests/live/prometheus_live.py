#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads what `drift --prom` writes with Prometheus' own parser: prometheus_live.py --binary LORAPROOF --work FOLDER

Every sample must be the figure of the JSON report of the same run, and no series may stand there twice. Where promtool is
installed (Debian: prometheus), `promtool check metrics` must accept the file as well. Exit status 77 without prometheus_client.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import time

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    print("skipped: the Python package prometheus_client is not installed")
    sys.exit(77)

SOURCE = pathlib.Path(__file__).resolve().parents[2]
LABEL = 'shop "eu" \\ two'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    metrics, report = options.work / "drift.prom", options.work / "report.json"
    logs = [str(SOURCE / "tests/fixtures/drift" / name) for name in ("log.jsonl", "window.jsonl")]
    before = time.time()
    run = subprocess.run([options.binary, "drift", *logs, "--tokenizer", str(SOURCE / "examples/demo-model/base"), "--by", "tier",
                          "--prom", str(metrics), "--prom-label", f"service={LABEL}", "--report", f"json={report}"],
                         capture_output=True, text=True)
    assert run.returncode == 1, run.stderr
    text, report = metrics.read_text(), json.loads(report.read_text())
    samples = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge" and family.documentation, family.name
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("service") == LABEL, sample
            key = (sample.name, *sorted(labels.items()))
            assert key not in samples, f"twice: {key}"
            samples[key] = sample.value

    def expect(name, value, **labels):
        found = samples.pop((f"loraproof_drift_{name}", *sorted(labels.items())))
        assert found == value, (name, labels, found, value)

    when = samples.pop(("loraproof_drift_last_run_timestamp_seconds",))
    assert before - 1 <= when <= time.time(), when
    for side in ("reference", "window"):
        expect("units", report["metrics"][side]["units"], side=side)
    for status in ("pass", "warn", "fail", "inconclusive", "skipped"):
        expect("checks", sum(check["status"] == status for check in report["checks"]), status=status)
    for check in report["checks"]:
        labels = {"check": check["id"], "subject": check.get("subject") or ""}
        expect("check_failed", float(check["status"] == "fail"), **labels)
        if check.get("value") is not None:
            expect("check_value", check["value"], **labels)
        if (check.get("limit") or {}).get("max") is not None:
            expect("check_limit", check["limit"]["max"], **labels)
    for lens in report["metrics"]["drift"]["lenses"]:
        if lens["adjusted_p"] is not None:
            expect("adjusted_p", lens["adjusted_p"], check=lens["id"], subject=lens["subject"])
    expect("level", report["metrics"]["drift"]["level"])
    assert not samples, f"nothing in the report for {samples}"
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "check", "metrics"], input=text, text=True, check=True)
        print("promtool accepts the file")
    print(f"{text.count(chr(10))} lines read by prometheus_client")


if __name__ == "__main__":
    main()
