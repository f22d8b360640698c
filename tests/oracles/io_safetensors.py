#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes io_safetensors.json: safetensors files as hex with what the reference reader makes of them.

Needs the packages safetensors and torch. Run: python3 tests/oracles/io_safetensors.py
"valid": files written by safetensors.torch, with names, types, shapes, bytes and SHA-256 digests
(preimages as documented in lib/loraproof/io/digest.h). "broken": files made by hand, with the verdict
of safetensors.deserialize ("accepted", or its error text).
"""
import hashlib
import json
import pathlib
import struct

import safetensors
import safetensors.torch
import torch

OUT = pathlib.Path(__file__).with_suffix(".json")
NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.uint16: "U16", torch.int16: "I16",
    torch.float16: "F16", torch.bfloat16: "BF16", torch.uint32: "U32", torch.int32: "I32",
    torch.float32: "F32", torch.uint64: "U64", torch.int64: "I64", torch.float64: "F64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}


def raw(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def digest(tensor):
    shape = ",".join(str(size) for size in tensor.shape)
    text = f"loraproof.tensor/1\n{NAMES[tensor.dtype]}\n{shape}\n".encode()
    return "sha256:" + hashlib.sha256(text + raw(tensor)).hexdigest()


def combined(tensors):
    text = b"loraproof.tensors/1\n"
    for name in sorted(tensors, key=str.encode):
        text += f"{digest(tensors[name])} {len(name.encode())} ".encode() + name.encode() + b"\n"
    return "sha256:" + hashlib.sha256(text).hexdigest()


def valid(label, tensors, metadata=None, data=None):
    data = data or safetensors.torch.save(tensors, metadata)
    assert {name for name, _ in safetensors.deserialize(data)} == set(tensors)
    rows = [
        {"name": name, "dtype": NAMES[t.dtype], "shape": list(t.shape), "bytes": raw(t).hex(), "digest": digest(t)}
        for name, t in sorted(tensors.items(), key=lambda item: item[0].encode())
    ]
    return {"label": label, "hex": data.hex(), "metadata": metadata or {}, "tensors": rows, "combined": combined(tensors)}


def file(header, data=b""):
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text)) + text + data


def one(dtype="F32", shape="[2]", offsets="[0,8]", extra=""):
    return '{"w":{"dtype":"%s","shape":%s,"data_offsets":%s%s}}' % (dtype, shape, offsets, extra)


def pair(first, second, name="b"):
    entry = '"%s":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}'
    return "{" + ",".join(entry % (n, e - b, b, e) for n, (b, e) in (("a", first), (name, second))) + "}"


D = bytes(range(8))
BROKEN = {
    "empty file": b"",
    "seven bytes": b"\x02\x00\x00\x00\x00\x00\x00",
    "length only": struct.pack("<Q", 2),
    "header longer than the file": struct.pack("<Q", 1000) + b"{}",
    "header over 100 MB": struct.pack("<Q", 100_000_001) + b"{}",
    "header length 2^64-1": struct.pack("<Q", 2**64 - 1) + b"{}",
    "empty header": file(""),
    "gguf": b"GGUF\x03\x00\x00\x00" + bytes(24),
    "zip pickle": b"PK\x03\x04\x00\x00\x08\x08" + bytes(24),
    "plain pickle": b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46" + bytes(24),
    "git lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "web page": b"<!DOCTYPE html><html></html>",
    "array header": file("[]"),
    "leading space": file(" {}"),
    "byte order mark": file(b"\xef\xbb\xbf{}"),
    "not JSON": file('{"w":'),
    "text after the object": file("{} {}"),
    "NUL padding": file(b"{}\x00\x00"),
    "trailing comma": file(one()[:-1] + ",}", D),
    "invalid UTF-8": file(one().encode().replace(b"w", b"\xff"), D),
    "lone surrogate": file(one().replace("w", "\\ud800"), D),
    "deep nesting": file('{"w":' + "[" * 100000 + "]" * 100000 + "}"),
    "deep shape": file(one(shape="[[[2]]]"), D),
    "duplicate name": file(pair((0, 4), (4, 8), name="a"), D),
    "duplicate name by escape": file(pair((0, 4), (4, 8), name="\\u0061"), D),
    "duplicate key in an entry": file(one(extra=',"dtype":"F32"'), D),
    "empty name": file(one().replace('"w"', '""'), D),
    "entry is a number": file('{"w":1}'),
    "entry is null": file('{"w":null}'),
    "unknown key": file(one(extra=',"stride":[1]'), D),
    "no dtype": file('{"w":{"shape":[2],"data_offsets":[0,8]}}', D),
    "no shape": file('{"w":{"dtype":"F32","data_offsets":[0,8]}}', D),
    "no offsets": file('{"w":{"dtype":"F32","shape":[2]}}', D),
    "dtype number": file(one().replace('"F32"', "32"), D),
    "dtype unknown": file(one(dtype="F33"), D),
    "dtype lower case": file(one(dtype="f32"), D),
    "dtype complex": file(one(dtype="C64", shape="[1]"), D),
    "dtype four bits": file(one(dtype="F4", shape="[16]"), D),
    "shape object": file(one(shape="{}"), D),
    "shape null": file(one(shape="null"), D),
    "size negative": file(one(shape="[-2]"), D),
    "size minus zero": file(one(shape="[-0]", offsets="[0,0]")),
    "size fraction": file(one(shape="[2.0]"), D),
    "size exponent": file(one(shape="[2e0]"), D),
    "size string": file(one(shape='["2"]'), D),
    "size true": file(one(shape="[true]"), D),
    "size 2^63": file(one(shape="[9223372036854775808]"), D),
    "size 2^64": file(one(shape="[18446744073709551616]"), D),
    "product overflows": file(one(shape="[4294967296,4294967296]"), D),
    "product wraps to 8": file(one(shape="[9223372036854775809,2]"), D),
    "bytes overflow": file(one(shape="[4611686018427387904]", offsets="[0,0]")),
    "overflow before a zero": file(one(shape="[4294967296,4294967296,0]", offsets="[0,0]")),
    "rank nine": file(one(shape="[1,1,1,1,1,1,1,1,2]"), D),
    "too few bytes for the shape": file(one(shape="[3]"), D),
    "too many bytes for the shape": file(one(shape="[1]"), D),
    "offsets one number": file(one(offsets="[8]"), D),
    "offsets three numbers": file(one(offsets="[0,8,8]"), D),
    "offsets negative": file(one(offsets="[-8,0]"), D),
    "offsets fraction": file(one(offsets="[0,8.5]"), D),
    "offsets reversed": file(one(offsets="[8,0]"), D),
    "offsets past the end": file(one(shape="[4]", offsets="[0,16]"), D),
    "offsets huge": file(one(offsets="[0,18446744073709551615]"), D),
    "truncated data": file(one(), D[:7]),
    "data missing": file(one()),
    "trailing bytes": file(one(), D + b"\x00"),
    "data without tensors": file("{}", b"\x00"),
    "hole at the start": file(one(shape="[1]", offsets="[4,8]"), D),
    "hole in the middle": file(pair((0, 3), (4, 8)), D),
    "overlap": file(pair((0, 5), (4, 8)), D),
    "same bytes twice": file(pair((0, 8), (0, 8)), D),
    "metadata a string": file('{"__metadata__":"x"}'),
    "metadata with a number": file('{"__metadata__":{"format":1}}'),
    "metadata with an object": file('{"__metadata__":{"format":{}}}'),
}


def verdict(data):
    try:
        safetensors.deserialize(data)
        return "accepted"
    except Exception as error:  # the peer's own words, for the reader of the file
        return f"{type(error).__name__}: {error}"


def main():
    torch.manual_seed(3)
    every = {}
    for dtype, name in NAMES.items():
        values = torch.randint(0, 2 if dtype == torch.bool else 100, (2, 3))
        every[f"t.{name}"] = values.to(dtype)
    files = [
        valid("every type", every, {"format": "pt", "note": "caf\u00e9 \u2713"}),
        valid("no tensors", {}),
        valid("scalar and empty", {"scalar": torch.tensor(1.5), "empty": torch.zeros(0, 4), "one": torch.ones(1)}),
        valid("bfloat16 values", {"w": torch.tensor([[1.0, -2.5], [float("nan"), float("inf")]], dtype=torch.bfloat16)}),
        valid("odd name", {"model.\u5c42.\"0\"\\w\n": torch.arange(3, dtype=torch.int32)}),
        valid("null metadata", {}, None, file('{"__metadata__":null}')),
        valid("unpadded header", {"w": torch.tensor([1.0, 2.0])}, None, file(one(), struct.pack("<2f", 1, 2))),
    ]
    broken = [{"label": label, "hex": data.hex(), "peer": verdict(data)} for label, data in BROKEN.items() if len(data) < 4000]
    broken += [
        {"label": label, "prefix": data[:13].hex(), "peer": verdict(data)}
        for label, data in BROKEN.items() if len(data) >= 4000
    ]
    document = {"made_by": "tests/oracles/io_safetensors.py", "safetensors": safetensors.__version__,
                "torch": torch.__version__.split("+")[0], "valid": files, "broken": broken}
    OUT.write_text(json.dumps(document, indent=1, ensure_ascii=True) + "\n")
    for row in broken:
        print(f"{row['label']}: {row['peer']}")


if __name__ == "__main__":
    main()
