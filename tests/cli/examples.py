#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the examples of examples/ on the demo model with the real binary: the run steps of the GitHub workflow, the
script of the GitLab job, the pre-deploy gate, the containers of the Kubernetes manifests.
examples.py LORAPROOF YAML_TO_JSON ROOT WORK [github|gitlab|pre-deploy|k8s]..."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

BINARY, YAML_TO_JSON, ROOT, WORK = (pathlib.Path(argument).resolve() for argument in sys.argv[1:5])
EXAMPLES = ROOT / "examples"
DEMO = {"BASE": str(EXAMPLES / "demo-model/base"), "ADAPTER": str(EXAMPLES / "demo-model/adapter"),
        "SUITE": str(ROOT / "golden/suites/demo")}
CHANGED = DEMO | {"BASE": str(EXAMPLES / "demo-model/changed-base")}


def expect(holds, what):
    if not holds:
        sys.exit(f"examples: {what}")


def read_yaml(path):
    return json.loads(subprocess.run([YAML_TO_JSON, path], check=True, capture_output=True, text=True).stdout)


def fresh(name):
    """An empty folder with loraproof and a gh that only notes its arguments on PATH."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/loraproof").symlink_to(BINARY)
    gh = folder / "bin/gh"
    gh.write_text('#!/bin/sh\necho "$@" > "$GH_NOTES"\n')
    gh.chmod(0o755)
    return folder


def shell(command, folder, variables):
    """As a CI runner does: bash that stops at the first failure."""
    env = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "LORAPROOF_CACHE": str(folder / "cache"),
                        "GH_NOTES": str(folder / "gh-notes")} | variables
    return subprocess.run(["bash", "-e", "-o", "pipefail", "-c", command], cwd=folder, env=env, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL)


def check_junit(path):
    checker = ROOT / "tests/unit/report/approved_xml.py"
    subprocess.run([sys.executable, checker, path], check=True, stdout=subprocess.DEVNULL)


def check_verdict(folder, verdict):
    report = json.loads((folder / "loraproof.json").read_text())
    expect(report["verdict"] == verdict, f"verdict {report['verdict']}, not {verdict}")
    check_junit(folder / "loraproof.xml")


def run_steps(workflow, folder, variables):
    """The run steps of the only job; what they print, and the exit code of the first that fails. A step with
    `if: always()` runs after a failure too."""
    (job,) = workflow["jobs"].values()
    expect(set(job["env"]) == set(DEMO), "the workflow's variables are those that the test sets")
    code, output = 0, ""
    for step in job["steps"]:
        if "run" not in step or (code != 0 and step.get("if") != "always()"):
            continue
        done = shell(step["run"], folder, variables)
        output += done.stdout
        code = code or done.returncode
    return code, output


def github():
    workflow = read_yaml(EXAMPLES / "ci-github/adapter-gate.yml")
    for name, variables, code, verdict in (("pass", DEMO, 0, "pass"), ("fail", CHANGED, 1, "fail")):
        folder = fresh(f"github-{name}")
        summary = folder / "summary.md"
        summary.write_text("before\n")
        done, output = run_steps(workflow, folder, variables | {"GITHUB_STEP_SUMMARY": str(summary), "PULL_REQUEST": "7"})
        expect(done == code, f"{name}: exit {done}, not {code}: {output}")
        check_verdict(folder, verdict)
        expect(all(line.startswith("::") for line in output.splitlines()), f"not only commands: {output}")
        expect(("::error " in output) == (code == 1), "errors are annotated when the gate fails")
        expect(f"::notice title=loraproof validate::verdict: {verdict}" in output, f"no verdict: {output}")
        document = (folder / "loraproof.md").read_text()
        expect(document.startswith(f"## loraproof validate: {verdict}\n"), "the document begins with the verdict")
        expect(summary.read_text() == "before\n" + document, "the summary is appended to")
        expect((folder / "gh-notes").read_text() == "pr comment 7 --body-file loraproof.md\n", "the comment is made")
    folder = fresh("github-missing")
    done, _ = run_steps(workflow, folder, DEMO | {"ADAPTER": "no/such/adapter", "GITHUB_STEP_SUMMARY": str(folder / "s")})
    expect(done == 3, f"a missing adapter ends in {done}")


def gitlab():
    job = read_yaml(EXAMPLES / "ci-gitlab/.gitlab-ci.yml")["validate-adapter"]
    expect(set(job["variables"]) == set(DEMO), "the job's variables are those that the test sets")
    for name, variables, code, verdict in (("pass", DEMO, 0, "pass"), ("fail", CHANGED, 1, "fail")):
        folder = fresh(f"gitlab-{name}")
        done = shell("\n".join(job["script"]), folder, variables)
        expect(done.returncode == code, f"{name}: exit {done.returncode}, not {code}: {done.stderr}")
        check_verdict(folder, verdict)
        for path in [job["artifacts"]["reports"]["junit"]] + job["artifacts"]["paths"]:
            expect((folder / path).is_file(), f"artifact {path} is missing")


def pre_deploy():
    script = f'{EXAMPLES / "pre-deploy/gate.sh"} "$BASE" "$ADAPTER" "$SUITE" touch deployed'
    cases = (("pass", DEMO, 0), ("fail", CHANGED, 1), ("undecided", DEMO, 4),
             ("missing-base", DEMO | {"BASE": "no/such/base"}, 3), ("missing-adapter", DEMO | {"ADAPTER": "nowhere"}, 3),
             ("missing-suite", DEMO | {"SUITE": "nowhere"}, 3), ("bad-policy", DEMO, 2),
             ("missing-binary", DEMO | {"LORAPROOF": "no/such/binary"}, 127))
    policies = {"undecided": "version: 1\nsettings: {golden.min_prompts: 1000}\n", "bad-policy": "version: 1\nchekcs: {}\n"}
    for name, variables, code in cases:
        folder = fresh(f"pre-deploy-{name}")
        if name in policies:
            (folder / "loraproof.yaml").write_text(policies[name])
        done = shell(script, folder, variables)
        expect(done.returncode == code, f"{name}: exit {done.returncode}, not {code}: {done.stderr}")
        expect((folder / "deployed").exists() == (code == 0), f"{name}: deployed is wrong")
        expect(("gate: not deployed" in done.stderr) == (code != 0), f"{name}: {done.stderr}")
    done = shell(str(EXAMPLES / "pre-deploy/gate.sh") + " base adapter suite", fresh("pre-deploy-usage"), {})
    expect(done.returncode == 2, "a missing command is a usage error")


class Cluster:
    """Runs containers of examples/k8s_drift here, one after the other: their volumes are folders, the rest is as written."""
    scripts = EXAMPLES / "k8s_drift"

    def __init__(self, name, log, files=7):
        self.folder = fresh(name)
        self.data = self.folder / "data"
        (self.data / "today").mkdir(parents=True)
        shutil.copy(EXAMPLES / "demo-model/base/tokenizer.json", self.data)
        lines = (ROOT / "tests/fixtures/drift" / log).read_text().splitlines(keepends=True)
        self.logs = [self.data / f"today/{number}.jsonl" for number in range(files)]
        for number, path in enumerate(self.logs):
            path.write_text("".join(lines[number::files]))
        self.list(self.logs)
        self.run(f'loraproof drift profile {ROOT}/tests/fixtures/drift/log.jsonl --tokenizer data/tokenizer.json -o data/reference.drift')

    def list(self, paths):
        (self.data / "today/files.txt").write_text("".join(f"{path}\n" for path in paths))

    def run(self, command, variables=None, code=0):
        done = shell(command, self.folder, variables or {})
        expect(done.returncode == code, f"{command}: exit {done.returncode}, not {code}: {done.stderr}")
        return done

    def start(self, container, values, code=0, **variables):
        """`values`: what Argo puts in for {{...}}."""
        def filled(text):
            for name, value in values.items():
                text = text.replace("{{" + name + "}}", str(value))
            expect("{{" not in text, f"nothing is put in: {text}")
            return text.replace("/data/", f"{self.data}/").replace("/scripts/", f"{self.scripts}/")

        expect({mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/scripts"}, "two volumes")
        command = " ".join(f"'{filled(word)}'" for word in container["command"] + container.get("args", []))
        env = {variable["name"]: filled(variable["value"]) for variable in container["env"]}
        return self.run(command, env | {name: str(value) for name, value in variables.items()}, code)

    def merged(self, folder="today/profiles"):
        return (self.data / folder / "merged.drift").read_bytes()


def by_jobs(cluster, code, order=range(4), **variables):
    """profile_job.yaml, then compare_job.yaml, which shall end with `code`."""
    (profile,), (compare,) = (job["spec"]["template"]["spec"]["containers"] for job in
                              (read_yaml(cluster.scripts / "profile_job.yaml"), read_yaml(cluster.scripts / "compare_job.yaml")))
    for index in order:
        cluster.start(profile, {}, JOB_COMPLETION_INDEX=index, **variables)
    return cluster.start(compare, {}, code, **variables)


def by_argo(cluster, code):
    spec = read_yaml(cluster.scripts / "argo_workflow.yaml")["spec"]
    templates = {template["name"]: template for template in spec["templates"]}
    values = {f"workflow.parameters.{row['name']}": row["value"] for row in spec["arguments"]["parameters"]}
    ((profile,), (compare,)) = templates[spec["entrypoint"]]["steps"]
    expect(profile["withSequence"]["count"] == "{{workflow.parameters.parts}}", "a step for each part")
    for index in range(int(values["workflow.parameters.parts"])):
        cluster.start(templates[profile["template"]]["container"], values | {"inputs.parameters.index": index})
    return cluster.start(templates[compare["template"]]["container"], values, code)


def k8s():
    job = read_yaml(EXAMPLES / "k8s_drift/profile_job.yaml")["spec"]
    (container,) = job["template"]["spec"]["containers"]
    expect({"name": "PARTS", "value": str(job["completions"])} in container["env"], "as many pods as parts")
    (generator,) = read_yaml(EXAMPLES / "k8s_drift/kustomization.yaml")["configMapGenerator"]
    expect(all((EXAMPLES / "k8s_drift" / name).is_file() for name in generator["files"]), "the ConfigMap's files exist")

    same = Cluster("k8s-same", "log.jsonl")
    by_jobs(same, 0)
    bytes_by_jobs = same.merged()
    for name, order, parts in (("three", (2, 0, 1), 3), ("again", (0, 1, 2, 3, 1), 4), ("nine", range(9), 9)):
        by_jobs(same, 0, order, PARTS=parts, OUT=same.data / name)
        expect(same.merged(name) == bytes_by_jobs, f"{name}: other bytes than by four parts")
    by_argo(same, 0)
    expect(same.merged() == bytes_by_jobs, "Argo gives other bytes")
    same.run("loraproof drift profile data/today/*.jsonl --tokenizer data/tokenizer.json --map data/reference.drift -o one")
    expect((same.folder / "one").read_bytes() == bytes_by_jobs, "one process gives other bytes")

    # A reference in parts is the reference in one process.
    same.run("loraproof drift map data/today/*.jsonl --tokenizer data/tokenizer.json -o data/map.drift")
    parts = {"MAP": same.data / "map.drift", "OUT": same.data / "reference"}
    for index in range(4):
        same.start(container | {"args": ["--reference"]}, {}, JOB_COMPLETION_INDEX=index, **parts)
    same.run(f"{same.scripts}/merge_compare.sh", {"PARTS": "4", "OUT": str(same.data / "reference")})
    same.run("loraproof drift profile data/today/*.jsonl --tokenizer data/tokenizer.json --map data/map.drift --reference -o one")
    expect((same.folder / "one").read_bytes() == same.merged("reference"), "one process gives another reference")

    done = by_jobs(same, 3, range(3), OUT=same.data / "missing")
    expect("part-3.drift" in done.stderr, f"the missing part is not named: {done.stderr}")
    same.start(container, {}, 3, JOB_COMPLETION_INDEX=0, LOGS="nowhere")
    same.list(same.logs + same.logs[:1])
    done = by_jobs(same, 3, OUT=same.data / "twice")
    expect("counted twice" in done.stderr, f"a log that is listed twice: {done.stderr}")

    moved = Cluster("k8s-moved", "window.jsonl")
    for run in (by_jobs, by_argo):
        run(moved, 1)
        report = json.loads((moved.data / "today/profiles/drift.json").read_text())
        expect(report["verdict"] == "fail", f"verdict {report['verdict']}")


def main():
    stories = {"github": github, "gitlab": gitlab, "pre-deploy": pre_deploy, "k8s": k8s}
    for name in sys.argv[5:] or stories:
        stories[name]()
        print(f"{name}: as described")


if __name__ == "__main__":
    main()
