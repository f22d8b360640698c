#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads with Python safetensors what the writer wrote: io_reads_back.py PATH_OF_io_writer_sample."""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import safetensors

TYPES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
         "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8}


def main():
    expected = {f"t.{name}": (name, [2, 3], bytes([1] * 6) if name == "BOOL" else bytes(range(6 * size)))
                for name, size in TYPES.items()}
    expected["scalar"] = ("F32", [], bytes(range(4)))
    expected["empty"] = ("F16", [0, 5], b"")
    expected['model.\u5c42."0"\\w\n'] = ("U8", [1], b"\x00")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "sample.safetensors"
        subprocess.run([sys.argv[1], str(path)], check=True)
        data = path.read_bytes()
        found = {name: (info["dtype"], list(info["shape"]), bytes(info["data"]))
                 for name, info in safetensors.deserialize(data)}
        with safetensors.safe_open(str(path), framework="np") as opened:
            metadata = opened.metadata()
    assert found == expected, f"tensors differ:\n{found}\n{expected}"
    assert metadata == {"format": "pt", "note": "caf\u00e9"}, metadata
    length = struct.unpack("<Q", data[:8])[0]
    assert length % 8 == 0 and data[8:9] == b"{", "header is not padded to 8"
    order = [name for name in json.loads(data[8:8 + length]) if name != "__metadata__"]
    assert order == list(expected), "tensors are not in the order they were given"
    print(f"{len(found)} tensors equal")


if __name__ == "__main__":
    main()
