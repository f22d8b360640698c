# SPDX-License-Identifier: Apache-2.0
"""What ggml's own C code stores and gives back, as quant_live.py compares it. scripts/ggml_library.sh
makes the library from the sources in the llama_cpp_python package. What Python's gguf can do as well
has to be the same."""

import ctypes
import os
from pathlib import Path

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

FALLBACKS = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}  # llama-quant.cpp


def library():
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "loraproof/ggml/libggml_quants.so"
    path = Path(os.environ.get("LORAPROOF_GGML", default))
    if not path.is_file():
        raise ImportError(f"no ggml library {path} (scripts/ggml_library.sh makes it)")
    # It refers to parts of ggml that are not called here.
    return ctypes.CDLL(str(path), mode=os.RTLD_LAZY)


def chosen(name, columns):
    if columns % GGML_QUANT_SIZES[GGMLQuantizationType[name]][0]:
        name = FALLBACKS.get(name, "F16")
    return "F16" if columns % GGML_QUANT_SIZES[GGMLQuantizationType[name]][0] else name


def gguf_type(name):
    def oracle(weight):
        kind = chosen(name, weight.shape[1])
        expected = {"stored_as": "" if kind == name else kind.lower()}
        if kind == "F16":
            values = weight.half()
            return expected | {"codes": values.view(torch.uint8), "values": values.float(), "bytes": values.nbytes}
        tensor_type = GGMLQuantizationType[kind]
        values, size = GGML_QUANT_SIZES[tensor_type]
        source = np.ascontiguousarray(weight.float().numpy())
        stored = np.empty(source.size // values * size, dtype=np.uint8)
        back = np.empty_like(source)
        stem = "q" + kind[1:]
        lib, pointer = library(), lambda array: array.ctypes.data_as(ctypes.c_void_p)
        count = ctypes.c_int64(source.size)
        getattr(lib, f"quantize_row_{stem}_ref")(pointer(source), pointer(stored), count)
        getattr(lib, f"dequantize_row_{stem}")(pointer(stored), pointer(back), count)
        check_with_python(tensor_type, source, stored, back)
        return expected | {"codes": torch.from_numpy(stored), "values": torch.from_numpy(back), "bytes": stored.nbytes}

    return oracle


def check_with_python(tensor_type, source, stored, back):
    with np.errstate(all="ignore"):
        by_python = quants.dequantize(stored.reshape(source.shape[0], -1), tensor_type)
        assert np.array_equal(by_python, back, equal_nan=True), f"gguf dequantises {tensor_type.name} differently"
        # Python divides by scales that are too small for the C code to invert.
        if "_K" in tensor_type.name or not 1e-30 < np.abs(source).max() < 1e4 or np.abs(source[source != 0]).min() < 1e-30:
            return
        again = quants.quantize(source, tensor_type)
        assert np.array_equal(again.flatten(), stored), f"gguf quantises {tensor_type.name} differently"


SCHEMES = {name.lower(): gguf_type(name)
           for name in ("Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0")}
library()
