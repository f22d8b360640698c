#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Weights of quantised checkpoints against the libraries that write them, value for value.

Tiny models are written by bitsandbytes (through transformers), compressed-tensors, transformers'
FP8, torchao and gguf, read by candidate_probe, and compared with what the same library dequantises
them to. Every float must be equal. GPTQ and AWQ are in tests/unit/candidate: GPTQModel takes minutes.

    candidate_live.py --probe BINARY --work DIR [--smollm2 DIR] [--only TEXT]

With --smollm2 the real GGUF of that model is read instead: against gguf.quants and against the
folder that transformers made of it.
"""

import argparse
import importlib.util
import os
import sys
import types
from pathlib import Path

# Unset: torch.compile of two-line functions would take longer than all else here.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

import numpy as np
import torch
from candidate_support import Probe, compare, differing, plain_weights, tiny_llama
from live_support import Tally, fresh_folder, generator, skip, write_json
from safetensors.torch import load_file, save_file

NEEDED = ("transformers", "gguf", "bitsandbytes", "compressed_tensors", "torchao")


# bitsandbytes ------------------------------------------------------------------------------------


def bitsandbytes_cases(tally, binary, work):
    import bitsandbytes
    from quant_bitsandbytes import dequantised
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    base = fresh_folder(work / "bnb-base")
    tiny_llama().save_pretrained(base)
    cases = {
        "nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        "nf4 nested": dict(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
        ),
        "fp4": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
        "int8": dict(load_in_8bit=True),
    }
    for label, options in cases.items():
        for dtype in (torch.bfloat16, torch.float16) if label.startswith("nf4") else (None,):
            dtype = dtype or torch.bfloat16
            config = BitsAndBytesConfig(**options)
            model = AutoModelForCausalLM.from_pretrained(
                base, quantization_config=config, dtype=dtype, device_map="cpu"
            )
            out = fresh_folder(work / "bnb")
            model.save_pretrained(out)
            expected = {}
            for name, module in model.named_modules():
                if isinstance(module, bitsandbytes.nn.Linear4bit):
                    value = dequantised(module.weight.data, module.weight.quant_state)
                elif isinstance(module, bitsandbytes.nn.Linear8bitLt):
                    scale = module.state.SCB if module.state.SCB is not None else module.weight.SCB
                    value = bitsandbytes.functional.int8_vectorwise_dequant(
                        module.weight.data, scale
                    )
                else:
                    continue
                expected[f"{name}.weight"] = value
            quantised = len(expected)
            for name, parameter in model.named_parameters():
                if parameter.is_floating_point() and name not in expected:
                    expected[name] = parameter
            probe = Probe(binary, out, work)
            compare(tally, f"bitsandbytes {label} {dtype}"[:46], probe, expected)
            tally.check(f"  quantised modules {label}", quantised == 7, f"{quantised}")


# compressed-tensors ------------------------------------------------------------------------------


def compressed_schemes():
    from compressed_tensors.quantization import QuantizationArgs

    def weights(**options):
        return QuantizationArgs(**options)

    activations = {"num_bits": 8, "strategy": "token", "dynamic": True, "symmetric": True}
    int_in = QuantizationArgs(type="int", **activations)
    float_in = QuantizationArgs(type="float", **activations)
    group = dict(strategy="group", group_size=32)
    return {
        "int4 g32": (weights(num_bits=4, **group), None, "int4 g32"),
        "int4 g32 asym": (weights(num_bits=4, symmetric=False, **group), None, "int4 g32 asym"),
        "int4 channel": (weights(num_bits=4, strategy="channel"), None, "int4 channel"),
        "int3 g32": (weights(num_bits=3, **group), None, "int3 g32"),
        "int5 channel asym": (
            weights(num_bits=5, strategy="channel", symmetric=False),
            None,
            "int5 channel asym",
        ),
        "int8 packed": (weights(num_bits=8, **group), None, "int8 g32"),
        "int8 channel": (weights(num_bits=8, strategy="channel"), int_in, "int8 channel"),
        "int8 channel asym": (
            weights(num_bits=8, strategy="channel", symmetric=False),
            int_in,
            "int8 channel asym",
        ),
        "int8 tensor": (weights(num_bits=8, strategy="tensor"), int_in, "int8 tensor"),
        "fp8 tensor": (weights(num_bits=8, type="float", strategy="tensor"), float_in, "fp8 tensor"),
        "fp8 channel": (
            weights(num_bits=8, type="float", strategy="channel"),
            float_in,
            "fp8 channel",
        ),
        "fp8 block": (
            weights(num_bits=8, type="float", strategy="block", block_structure=[40, 28]),
            float_in,
            "fp8 block 40x28",
        ),
        "nvfp4": (
            weights(
                num_bits=4,
                type="float",
                strategy="tensor_group",
                group_size=16,
                scale_dtype=torch.float8_e4m3fn,
            ),
            None,
            "nvfp4",
        ),
        "mxfp4": (
            weights(num_bits=4, type="float", scale_dtype=torch.uint8, **group),
            None,
            "mxfp4",
        ),
        "mxfp8": (
            weights(num_bits=8, type="float", scale_dtype=torch.uint8, **group),
            None,
            "mxfp8 g32",
        ),
    }


def fill_parameters(module, args):
    """Scales and zero points as the observers of llm-compressor set them: from minima and maxima."""
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

    weight = module.weight.data
    rows, columns = weight.shape
    if args.strategy == "tensor":
        low, high = weight.amin().reshape(1), weight.amax().reshape(1)
    elif args.strategy == "channel":
        low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    elif args.strategy == "block":
        height, width = args.block_structure
        padded = torch.nn.functional.pad(weight, (0, -columns % width, 0, -rows % height))
        blocks = padded.unflatten(0, (-1, height)).unflatten(2, (-1, width))
        low, high = blocks.amin((1, 3)), blocks.amax((1, 3))
    else:
        groups = weight.unflatten(1, (-1, args.group_size))
        low, high = groups.amin(2), groups.amax(2)
    factor = None
    if args.strategy == "tensor_group":
        factor = generate_gparam(weight.amin(), weight.amax())
        module.weight_global_scale.data.copy_(factor.reshape(module.weight_global_scale.shape))
        factor = module.weight_global_scale.data
    scale, zero = calculate_qparams(low, high, args, global_scale=factor)
    module.weight_scale.data.copy_(scale.reshape(module.weight_scale.shape))
    if hasattr(module, "weight_zero_point"):
        module.weight_zero_point.data.copy_(zero.reshape(module.weight_zero_point.shape))


def compressed_cases(tally, binary, work):
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import (
        QuantizationConfig,
        QuantizationScheme,
        apply_quantization_config,
    )

    for label, (weights, activations, method) in compressed_schemes().items():
        for dtype in (torch.bfloat16, torch.float32) if label.startswith("int4 g32") else (None,):
            model = tiny_llama(dtype or torch.bfloat16)
            scheme = QuantizationScheme(
                targets=["Linear"], weights=weights, input_activations=activations
            )
            config = QuantizationConfig(config_groups={"group_0": scheme}, ignore=["lm_head"])
            apply_quantization_config(model, config)
            for module in model.modules():
                if getattr(module, "quantization_scheme", None) is not None:
                    fill_parameters(module, weights)
            compressor = ModelCompressor.from_pretrained_model(model)
            compressor.compress_model(model)
            out = fresh_folder(work / "compressed")
            model.save_pretrained(out)
            compressor.update_config(out)
            compressor.decompress_model(model)
            expected = {n: p for n, p in plain_weights(model).items() if n.endswith("weight")}
            probe = Probe(binary, out, work)
            compare(
                tally,
                f"compressed-tensors {label} {dtype or ''}",
                probe,
                expected,
                {f"compressed-tensors {method}"},
            )


# FP8 of transformers -----------------------------------------------------------------------------


def fp8_cases(tally, binary, work):
    from transformers.integrations.finegrained_fp8 import (
        Fp8Dequantize,
        Fp8Quantize,
        _dequantize_fp8_weight,
    )

    def folder(tensors, block):
        out = fresh_folder(work / "fp8")
        config = {"quant_method": "fp8", "weight_block_size": block}
        write_json(out / "config.json", {"model_type": "llama", "quantization_config": config})
        save_file({n: t.contiguous() for n, t in tensors.items()}, out / "model.safetensors")
        return out

    model = tiny_llama()
    for block in ([32, 32], None):
        options = types.SimpleNamespace(weight_block_size=block, scale_fmt=None)
        quantizer = types.SimpleNamespace(quantization_config=options)
        tensors, expected = {}, {}
        for name, parameter in plain_weights(model).items():
            if "proj" not in name:
                tensors[name] = expected[name] = parameter.data
                continue
            made = Fp8Quantize(quantizer).convert({name: parameter.data})
            scale = made[name + "_scale_inv"]
            if block is None:
                scale = made[name + "_scale_inv"] = scale.reshape(())
            tensors.update(made)
            expected[name] = Fp8Dequantize(quantizer)._dequantize_one(
                made[name], scale, output_dtype=torch.float32
            )
        method = "fp8 tensor" if block is None else "fp8 block 32x32"
        probe = Probe(binary, folder(tensors, block), work)
        compare(tally, f"transformers {method}", probe, expected, {method})
    # Blocks that do not divide the matrix, as DeepSeek's own checkpoints have them.
    weight = torch.randn(50, 70, generator=generator("fp8")).to(torch.float8_e4m3fn)
    scale = torch.rand(2, 3, generator=generator("scale"))
    tensors = {"model.x.weight": weight, "model.x.weight_scale_inv": scale}
    expected = {"model.x.weight": _dequantize_fp8_weight(weight, scale, [32, 32], torch.float32)}
    probe = Probe(binary, folder(tensors, [32, 32]), work)
    compare(tally, "transformers fp8, blocks cut short", probe, expected, {"fp8 block 32x32"})
    # All 256 codes.
    codes = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).reshape(4, 64)
    tensors = {"model.x.weight": codes, "model.x.weight_scale_inv": torch.tensor([1.0])}
    probe = Probe(binary, folder(tensors, None), work)
    compare(tally, "all values of E4M3", probe, {"model.x.weight": codes.float()})


# GGUF --------------------------------------------------------------------------------------------

# Where the fp16 factors of a block lie: random bytes there would be NaN or infinite.
FACTORS = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
    "MXFP4": [],
}


def random_blocks(name, shape, random):
    """Bytes of a matrix of that type: every code and scale occurs, factors are finite."""
    import gguf

    size, bytes_each = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    blocks = shape[0] * shape[1] // size
    data = random.integers(0, 256, (blocks, bytes_each), dtype=np.uint8)
    for at in FACTORS[name]:
        factor = random.standard_normal(blocks).astype(np.float16) * np.float16(0.1)
        data[:, at : at + 2] = factor.view(np.uint8).reshape(-1, 2)
    return data.reshape(shape[0], -1)


def gguf_models():
    """Architecture of GGUF -> a model of transformers on the meta device."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = dict(
        vocab_size=64,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
    )
    kinds = {
        "llama": ("llama", dict(attention_bias=True, tie_word_embeddings=False)),
        "qwen2": ("qwen2", dict(tie_word_embeddings=True)),
        "qwen3": ("qwen3", dict(tie_word_embeddings=False)),
        "gemma": ("gemma", {}),
        "gemma2": ("gemma2", {}),
        "gemma3": ("gemma3_text", {}),
    }
    for architecture, (kind, options) in kinds.items():
        config = AutoConfig.for_model(kind, **sizes, **options)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        yield architecture, config, model


def gguf_name(name, names):
    stem, suffix = name.rsplit(".", 1)
    return f"{names.get_name(stem)}.{suffix}"


def write_gguf(path, architecture, config, parameters, random):
    """A GGUF file with random contents: {name in the file: (type, bytes)}."""
    import gguf

    arch = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(128)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    writer.add_custom_alignment(64)
    kinds = list(FACTORS) + ["F16", "BF16"]
    used = set()
    for index, (name, shape) in enumerate(parameters.items()):
        there = gguf_name(name, names)
        values = random.standard_normal(shape).astype(np.float32)
        kind = kinds[(index + len(architecture)) % len(kinds)] if len(shape) == 2 else "F32"
        used.add(kind)
        if kind == "F32":
            writer.add_tensor(there, values)
        else:
            raw = gguf.GGMLQuantizationType[kind]
            data = (
                gguf.quantize(values, raw)
                if kind in ("F16", "BF16")
                else random_blocks(kind, shape, random)
            )
            writer.add_tensor(there, data, raw_dtype=raw)
    if architecture == "llama":
        writer.add_tensor("rope_freqs.weight", np.ones(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return used


def gguf_expected(path, architecture, config, parameters):
    """gguf.quants, then what the processors of transformers undo, under names of transformers."""
    import gguf
    from transformers.modeling_gguf_pytorch_utils import Gemma2TensorProcessor, LlamaTensorProcessor

    arch = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    processor = None
    if architecture == "llama":
        processor = LlamaTensorProcessor(
            {
                "num_attention_heads": config.num_attention_heads,
                "num_key_value_heads": config.num_key_value_heads,
            }
        )
    elif architecture.startswith("gemma"):
        processor = Gemma2TensorProcessor()
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    expected = {}
    for name in parameters:
        tensor = stored[gguf_name(name, names)]
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        if processor is not None:
            values = processor.process(values, tensor.name).weights
        expected[name] = values
    return expected


def gguf_cases(tally, binary, work):
    used = set()
    folder = fresh_folder(work / "gguf")
    for architecture, config, model in gguf_models():
        random = np.random.default_rng(len(architecture))
        parameters = {name: tuple(p.shape) for name, p in model.named_parameters()}
        path = folder / f"{architecture}.gguf"
        used |= write_gguf(path, architecture, config, parameters, random)
        expected = gguf_expected(path, architecture, config, parameters)
        probe = Probe(binary, path, work)
        compare(tally, f"gguf {architecture}", probe, expected)
        if probe.status != 0:
            continue
        said = probe.said["gguf"]
        wanted = {
            "architecture": architecture,
            "num_hidden_layers": 2,
            "hidden_size": 256,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "vocab_size": 64,
            "tokens": 64,
            "tie_word_embeddings": "lm_head.weight" not in parameters,
            "rope_theta": 10000.0,
        }
        wrong = {k: said[k] for k, v in wanted.items() if said[k] != v}
        tally.check(f"  summary {architecture}", not wrong, str(wrong or ""))
    tally.check("all types of ggml that are read", used == set(FACTORS) | {"F16", "BF16", "F32"})


def smollm2_cases(tally, binary, work, folder):
    import gguf

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts/models"))
    from make_smollm2 import GGUF_NAME

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "loraproof/smollm2" / GGUF_NAME
    if not path.is_file():
        return skip(f"{path} is not there: make_smollm2.py keeps it when it makes the model")
    fresh_folder(work)
    probe = Probe(binary, path, work, rows=64)
    if not tally.check("smollm2 opens", probe.status == 0, str(probe.said)[:60]):
        return tally.finish()
    heads = {"attn_q": 9, "attn_k": 3}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 30)
    published = load_file(folder / "model.safetensors")
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    tally.check(
        "smollm2: names are those of the folder",
        set(published) == set(probe.entries) and len(stored) == len(published),
        f"{len(probe.entries)} weights",
    )
    wrong_gguf, wrong_folder, total = 0, 0, 0
    for name, tensor in published.items():
        there = stored[gguf_name(name, names)]
        values = gguf.dequantize(there.data, there.tensor_type)
        head = heads.get(there.name.split(".")[-2])
        if head:  # undo the order of llama.cpp's rope
            values = values.reshape(head, -1, 2, values.shape[1]).swapaxes(1, 2)
            values = values.reshape(there.data.shape[0], -1)
        found = probe.weight(name)
        wrong_gguf += differing(found, values)
        rounded = torch.from_numpy(np.array(found)).to(torch.bfloat16)
        wrong_folder += int((rounded != tensor).sum())
        total += found.size
    tally.check("smollm2: values of gguf.quants", wrong_gguf == 0, f"{wrong_gguf} of {total}")
    tally.check("smollm2: values of transformers", wrong_folder == 0, f"{wrong_folder} of {total}")
    seconds = probe.said["seconds"]
    print(f"decoding: {total / seconds / 1e6:.0f} million values a second")
    (work / "probe.bin").unlink()
    return tally.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--probe", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--smollm2", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return skip(f"needs {', '.join(missing)}: LORAPROOF_ORACLES=1 scripts/bootstrap")
    tally = Tally()
    if arguments.smollm2:
        return smollm2_cases(tally, arguments.probe, arguments.work, arguments.smollm2)
    from candidate_torchao import torchao_cases

    work = fresh_folder(arguments.work)
    groups = {
        "gguf": gguf_cases,
        "fp8": fp8_cases,
        "compressed": compressed_cases,
        "bitsandbytes": bitsandbytes_cases,
        "torchao": torchao_cases,
    }
    for name, cases in groups.items():
        if arguments.only in name:
            cases(tally, arguments.probe, work)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
