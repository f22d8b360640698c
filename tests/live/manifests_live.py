#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Would a cluster take the manifests of examples/k8s_drift?

manifests_live.py --root DIR

Jobs are checked against the Kubernetes schema, where a field that it does not know is an error; the Workflow against the models
that hera makes of Argo's. What the containers do is tested in tests/cli/examples.py.
"""

import argparse
import copy
import importlib.util
import pathlib
import sys

from live_support import Tally, skip

KUBERNETES = "1.28"


def job_error(job):
    import kubernetes_validate

    try:
        kubernetes_validate.validate(job, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error).splitlines()[0]
    return ""


def workflow_error(workflow):
    """A model ignores fields that it does not know; they are missing when it is written again."""
    from hera.workflows.models import Workflow

    try:
        known = Workflow.model_validate(workflow).model_dump(by_alias=True, exclude_none=True, mode="json")
    except ValueError as error:
        return str(error)
    return first_difference(workflow, known)


def first_difference(wanted, found, path=""):
    if isinstance(wanted, dict) and isinstance(found, dict):
        rows = [(key, value, found.get(key)) for key, value in wanted.items()]
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        rows = zip(range(len(wanted)), wanted, found)
    else:
        return "" if str(wanted) == str(found) else f"{path}: {wanted}, read as {found}"
    return next(filter(None, (first_difference(a, b, f"{path}/{key}") for key, a, b in rows)), "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    folder = parser.parse_args().root / "examples/k8s_drift"
    for module in ("yaml", "kubernetes_validate", "hera"):
        if importlib.util.find_spec(module) is None:
            return skip(f"no {module} in {sys.executable}")
    import yaml

    tally = Tally()
    for name, error_of in {"profile_job": job_error, "compare_job": job_error, "argo_workflow": workflow_error}.items():
        manifest = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
        error = error_of(manifest)
        tally.check(name, not error, error)
        # The checks see a field of a wrong name, deep inside too, and a value of a wrong type.
        wrong = copy.deepcopy(manifest) | {"specs": {}}
        tally.check(f"{name} with a field too many", error_of(wrong))
        spec = copy.deepcopy(manifest)
        inner = spec["spec"]["template"]["spec"] if "template" in spec["spec"] else spec["spec"]["templates"][1]["container"]
        inner["volumesMounts"] = []
        tally.check(f"{name} with a misspelt field inside", error_of(spec))
        container = inner["containers"][0] if "containers" in inner else inner
        del inner["volumesMounts"]
        container["image"] = ["a list"]
        tally.check(f"{name} with a list for an image", error_of(spec))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
