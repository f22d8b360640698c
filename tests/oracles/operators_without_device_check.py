#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Operators that CUDA's kernels take without comparing the devices of their arguments first.

    tests/oracles/operators_without_device_check.py > golden/values/operators_without_device_check.txt

libtorch generates CUDA's wrappers from a table that its Python package brings along (torchgen). Of every operator in it
that is not marked `device_check: NoCheck` the wrapper refuses tensors on different devices. The test device
(tests/support/guarded_device) refuses the same.
"""

import pathlib
import re

import torch
import torchgen

table = pathlib.Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
names = set()
name = None
for line in table.read_text().splitlines():
    if found := re.match(r"- func: ([\w.]+)\(", line):
        name = found.group(1)
    elif re.match(r"  device_check: NoCheck", line) and not name.startswith("_foreach"):
        names.add(name)
print(f"# tests/oracles/operators_without_device_check.py with torch {torch.__version__}; without _foreach operators.")
print("\n".join(sorted(names)))
