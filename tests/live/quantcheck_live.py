#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""quantcheck's figures against the same job done in Python: transformers and PEFT in FP32 on weights that bitsandbytes,
compressed-tensors or torchao quantised and dequantised, KLD over the whole vocabulary in float64.

    quantcheck_live.py --binary LORAPROOF --base DIR --adapter DIR --golden SUITE --work FOLDER [--prompts N]
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

import numpy
import torch
from safetensors import safe_open

from live_support import Tally, fresh_folder, skip

try:
    import bitsandbytes.functional as bnb
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import fake_quantize
    from compressed_tensors.quantization.utils import calculate_qparams, compute_dynamic_scales_and_zp
    from peft import PeftModel
    from quant_bitsandbytes import dequantised
    from transformers import AutoModelForCausalLM
except ImportError as error:
    sys.exit(skip(f"skipped: {error}"))
try:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig
except ImportError as error:
    sys.exit(skip(f"skipped: {error}"))
try:
    import gguf
    from quant_ggml import SCHEMES as GGML
except ImportError as error:
    GGML = {}
    print(f"without GGUF: {error}")


def nf4(weight):
    quantised, state = bnb.quantize_4bit(weight.contiguous(), quant_type="nf4", blocksize=64)
    return dequantised(quantised, state)


def int8(weight):
    """compressed-tensors' INT8 per channel, written out: it computes in the weights' type."""
    scale = weight.abs().amax(1, keepdim=True) / 127.5
    codes = torch.clamp(torch.round(weight / scale), -128, 127)
    return codes.to(weight.dtype) * scale


def half(weight):
    return weight.to(torch.float16).to(weight.dtype)


def llm_int8(weight):
    codes, scale, _ = bnb.int8_vectorwise_quant(weight.half())
    return bnb.int8_vectorwise_dequant(codes, scale)


def e4m3(weight, scale):
    return torch.clamp(weight / scale, -448, 448).to(torch.float8_e4m3fn).to(weight.dtype) * scale


def fp8(weight):
    return e4m3(weight, weight.abs().amax(1, keepdim=True) / 448)


def fp8_tensor(weight):
    return e4m3(weight, weight.abs().amax() / 448)


SCHEMES = {"nf4": nf4, "int8": int8, "fp16": half, "llm-int8": llm_int8, "int8-w8a8": int8, "fp8-w8a8": fp8, "fp8-w8a8-static": fp8_tensor}


def q4_1(weight):
    return GGML["q4_1"](weight)["values"].reshape(weight.shape)


if GGML:
    SCHEMES["q4_1"] = q4_1
EMBEDDINGS_TOO = {"q4_1"}  # GGUF files hold every matrix in the type, here the tied embedding


def by_token(kind):
    """Dynamic inputs as compressed-tensors itself quantises them."""
    arguments = QuantizationArgs(num_bits=8, type=kind, strategy="token", symmetric=True, dynamic=True)

    def quantised(x, module):
        scale, zero = compute_dynamic_scales_and_zp(x, arguments, module)
        return fake_quantize(x, scale, zero, arguments)
    return quantised


def static(x, module):
    arguments = QuantizationArgs(num_bits=8, type="float", strategy="tensor", symmetric=True, dynamic=False)
    largest = torch.tensor(LARGEST_INPUTS[module.loraproof_name])
    scale, zero = calculate_qparams(-largest, largest, arguments)
    return fake_quantize(x, scale, zero, arguments)


def outliers_aside(x, module):
    """bitsandbytes, token by token: int8 codes of the row without its outliers, and the outliers in 16 bit."""
    rows = []
    for row in x.reshape(-1, x.shape[-1]).half().split(1):
        codes, scale, columns = bnb.int8_vectorwise_quant(row.clone(), threshold=6.0)
        made = bnb.int8_vectorwise_dequant(codes, scale).float()
        if columns is not None:
            made[:, columns] = row[:, columns].float()
        rows.append(made)
    return torch.cat(rows).reshape(x.shape).to(x.dtype)


INPUTS = {"llm-int8": outliers_aside, "int8-w8a8": by_token("int"), "fp8-w8a8": by_token("float"), "fp8-w8a8-static": static}
LARGEST_INPUTS = {}  # by module, in the reference


def linear_weights(model):
    """name -> weight of every linear layer but the head."""
    return {name: module for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and "lora_" not in name and "lm_head" not in name}


def name_modules(model):
    for name, module in linear_weights(model).items():
        module.loraproof_name = name.removeprefix("base_model.model.").removesuffix(".base_layer")


def note_largest(module, inputs):
    name = module.loraproof_name
    LARGEST_INPUTS[name] = max(LARGEST_INPUTS.get(name, 0.0), inputs[0].abs().max().item())


class Python:
    """The model of each lane, made anew, in FP32 on weights that were BF16."""

    def __init__(self, base, adapter):
        self.base, self.adapter = base, adapter

    def model(self, with_adapter):
        model = AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.bfloat16)
        return PeftModel.from_pretrained(model, self.adapter) if with_adapter else model

    def lane(self, order, scheme, kept=()):
        """`kept`: modules that stay in 16 bit."""
        quantise = SCHEMES.get(scheme, lambda weight: weight)
        model = self.model(order not in ("base alone", "base"))
        with torch.no_grad():
            if order in ("B", "C"):
                model = model.merge_and_unload()
            name_modules(model)
            for module in linear_weights(model).values():
                if order == "D":
                    module.weight.copy_(quantise(module.weight))  # a checkpoint in 16 bit, to merge into
            if order == "D":
                model = model.merge_and_unload()
                name_modules(model)
            for module in linear_weights(model).values():
                if order not in ("reference", "base", "C") and module.loraproof_name not in kept:
                    module.weight = torch.nn.Parameter(quantise(module.weight), requires_grad=False)
            if scheme in EMBEDDINGS_TOO and order not in ("reference", "base", "C"):
                table = model.get_input_embeddings()
                table.weight = torch.nn.Parameter(quantise(table.weight), requires_grad=False)
                model.get_output_embeddings().weight = table.weight
        for module in linear_weights(model).values():
            if order == "reference":
                module.register_forward_pre_hook(note_largest)
            elif order in ("base alone", "A", "B", "D") and scheme in INPUTS:
                module.register_forward_pre_hook(lambda layer, inputs: (INPUTS[scheme](inputs[0], layer),))
        return model.float().eval()


def log_probabilities(model, sequences):
    rows = []
    with torch.no_grad():
        for prompt, answer in sequences:
            ids = torch.tensor([prompt + answer])
            logits = model(ids).logits[0, :-1].to(torch.float32).to(torch.float64)
            rows.append(torch.log_softmax(logits, -1).numpy())
    return rows


def figures(reference, lane, sequences):
    kld, top, nll, nll_base = [], [], [], []
    for (prompt, answer), p, q in zip(sequences, reference, lane):
        first = len(prompt) - 1
        kld.append((numpy.exp(p) * (p - q)).sum(1)[first:])
        top.append(p.argmax(1)[first:] == q.argmax(1)[first:])
        at = numpy.arange(first, len(p))
        nll.append(-q[at, answer])
        nll_base.append(-p[at, answer])
    kld, top, nll, nll_base = map(numpy.concatenate, (kld, top, nll, nll_base))
    return {"kld_mean": kld.mean(), "same_top": top.mean(), "ppl_ratio": numpy.exp((nll - nll_base).mean()),
            "kld_max": kld.max(), "nll": nll.mean()}


def recorded_sequences(folder, count):
    with safe_open(folder / "reference.safetensors", "numpy") as file:
        names = ("prompt_ids", "prompt_offsets", "answer_ids", "answer_offsets")
        prompt, prompt_at, answer, answer_at = (file.get_tensor(name) for name in names)
    cut = lambda ids, at, i: ids[at[i]:at[i + 1]].tolist()
    return [(cut(prompt, prompt_at, i), cut(answer, answer_at, i)) for i in range(min(count, len(prompt_at) - 1))]


def small_suite(golden, work, count):
    """The suite's first prompts, without its references: their digest is another."""
    suite = work / "suite"
    suite.mkdir()
    text = (golden / "suite.yaml").read_text()
    (suite / "suite.yaml").write_text(text)
    lines = (golden / "prompts.jsonl").read_text().splitlines()[:count]
    (suite / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    return suite


def run(binary, *arguments):
    done = subprocess.run([binary, "quantcheck", *map(str, arguments), "--format", "json", "--quiet"], capture_output=True, text=True)
    if done.returncode not in (0, 1, 4):
        print(done.stdout[-2000:], done.stderr[-2000:])
    return done.returncode, json.loads(done.stdout)


def compare(tally, options, work):
    golden = pathlib.Path(options.golden)
    suite = small_suite(golden, work, options.prompts)
    adapter = work / "adapter"
    shutil.copytree(options.adapter, adapter)
    command = ["--base", options.base, "--adapter", adapter, "--golden", suite, "--scheme", ",".join(SCHEMES), "--compute", "fp32"]
    code, report = run(options.binary, *command, "--blame", "off", "--inconclusive", "pass")
    tally.check("runs", code in (0, 1), f"exit {code}")
    sequences = recorded_sequences(next((golden / "references").iterdir()), options.prompts)
    python = Python(options.base, adapter)
    reference = log_probabilities(python.lane("reference", None), sequences)
    base = log_probabilities(python.lane("base", None), sequences)
    for found in report["metrics"]["schemes"]:
        order, scheme = found["deployment"], found["scheme"]
        lane = log_probabilities(python.lane(order, scheme), sequences)
        expected = figures(base if order == "base alone" else reference, lane, sequences)
        # Two runs in FP32 whose sums have other orders; where inputs are rounded, some fall to the other side.
        share = 3e-2 if scheme in INPUTS else 2e-3
        near = lambda a, b: abs(a - b) <= 2e-6 + share * abs(b)
        ok = (near(found["kld_mean"], expected["kld_mean"]) and near(found["ppl_ratio"], expected["ppl_ratio"])
              and near(found["answers"]["kld_percentiles"]["maximum"], expected["kld_max"])
              and abs(found["same_top"] - expected["same_top"]) <= 1.01 / found["answers"]["tokens"])
        tally.check(f"{scheme} {order}", ok, f"KLD {found['kld_mean']:.3e} (Python {expected['kld_mean']:.3e}), "
                    f"same top {found['same_top']:.4f} ({expected['same_top']:.4f}), PPL ratio {found['ppl_ratio']:.5f}")
    return command, report, python, sequences, reference


def candidate(tally, options, work, command, simulated):
    """What bitsandbytes itself stored must do what the simulated scheme does."""
    from transformers import BitsAndBytesConfig
    folder = work / "nf4"
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    AutoModelForCausalLM.from_pretrained(options.base, quantization_config=settings, dtype=torch.bfloat16).save_pretrained(folder)
    code, report = run(options.binary, *command[:6], "--candidate", folder, "--compute", "fp32", "--blame", "off", "--inconclusive", "pass")
    tally.check("candidate: runs", code in (0, 1), f"exit {code}")
    for order in ("base alone", "A"):
        pick = lambda rows, scheme: next(row for row in rows if row["deployment"] == order and row["scheme"] == scheme)
        found, expected = pick(report["metrics"]["schemes"], "nf4"), pick(simulated["metrics"]["schemes"], "nf4")
        tally.check(f"candidate: {order}", found["source"] == "checkpoint" and abs(found["kld_mean"] - expected["kld_mean"]) <= 1e-9 + 1e-4 * expected["kld_mean"],
                    f"KLD {found['kld_mean']:.6e} (simulated {expected['kld_mean']:.6e}), {found['bytes']} bytes")


def torchao_candidate(tally, options, work, command, python, sequences, reference):
    """A checkpoint of torchao does what its own dequantised weights do in Python."""
    from transformers import TorchAoConfig
    folder = work / "torchao"
    model = AutoModelForCausalLM.from_pretrained(
        options.base, quantization_config=TorchAoConfig(Int8WeightOnlyConfig()), dtype=torch.bfloat16, device_map="cpu")
    model.save_pretrained(folder)
    weights = {name: module.weight.dequantize() for name, module in linear_weights(model).items()}
    code, report = run(options.binary, *command[:6], "--candidate", folder, "--compute", "fp32", "--blame", "off", "--inconclusive", "pass")
    tally.check("torchao: runs", code in (0, 1), f"exit {code}")

    def lane(with_adapter):
        made = python.model(with_adapter)
        name_modules(made)
        for module in linear_weights(made).values():
            module.weight = torch.nn.Parameter(weights[module.loraproof_name], requires_grad=False)
        return log_probabilities(made.float().eval(), sequences)
    base = log_probabilities(python.lane("base", None), sequences)
    for order, against in (("base alone", base), ("A", reference)):
        found = next(row for row in report["metrics"]["schemes"] if row["deployment"] == order)
        expected = figures(against, lane(order == "A"), sequences)["kld_mean"]
        tally.check(f"torchao: {order}", found["source"] == "checkpoint" and abs(found["kld_mean"] - expected) <= 2e-6 + 2e-3 * expected,
                    f"KLD {found['kld_mean']:.3e} (Python {expected:.3e}), {found['bytes']} bytes")


def torchao_inputs(tally, options, work, command, sequences, base):
    """Inputs that torchao quantises by token, run by its own layers. The two agree in size only: it divides by way of the reciprocal,
    so that a last bit decides whether a token's largest negative input becomes -127 or -128 (torchao's layers and its own
    from_hp() in a hook before plain layers differ as much); the codes themselves are compared in a unit test."""
    from transformers import TorchAoConfig
    folder = work / "torchao-inputs"
    model = AutoModelForCausalLM.from_pretrained(  # torchao makes no float8 inputs without a GPU
        options.base, quantization_config=TorchAoConfig(Int8DynamicActivationInt8WeightConfig()), dtype=torch.float32, device_map="cpu")
    theirs = log_probabilities(model.eval(), sequences)
    model.save_pretrained(folder)
    code, report = run(options.binary, *command[:6], "--candidate", folder, "--compute", "fp32", "--blame", "off", "--inconclusive", "pass")
    found = next(row for row in report["metrics"]["schemes"] if row["deployment"] == "base alone")["kld_mean"]
    expected = figures(base, theirs, sequences)["kld_mean"]
    tally.check("torchao: inputs by token", code in (0, 1) and expected / 2 < found < expected * 2, f"KLD {found:.3e} (torchao {expected:.3e})")


def blame(tally, options, command):
    """A layer whose weights are so far off the grid that quantising it hurts most must be ranked first, both ways."""
    code, report = run(options.binary, *command[:-4], "--scheme", "int4-g32", "--compute", "fp32", "--deployment", "A",
                       "--blame", "swap", "--inconclusive", "pass")
    rows = report["metrics"]["layers"]
    swaps = [row["swap"] for row in rows]
    tally.check("layers are ranked by what they cost", swaps == sorted(swaps, reverse=True) and len(set(row["layer"] for row in rows)) == len(rows),
                ", ".join(f"{row['layer']}: {row['swap']:.2e}" for row in rows[:4]))


def ggml_candidate(tally, options, work, command):
    """A GGUF file whose matrices libggml quantised, as a converter of llama.cpp lays them out, does what the scheme does."""
    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.bfloat16)
    config = model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    writer = gguf.GGUFWriter(work / "q4_1.gguf", "llama")
    for add, value in ((writer.add_block_count, config.num_hidden_layers), (writer.add_embedding_length, config.hidden_size),
                       (writer.add_feed_forward_length, config.intermediate_size), (writer.add_head_count, config.num_attention_heads),
                       (writer.add_head_count_kv, config.num_key_value_heads), (writer.add_layer_norm_rms_eps, config.rms_norm_eps),
                       (writer.add_context_length, config.max_position_embeddings), (writer.add_vocab_size, config.vocab_size)):
        add(value)
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    for name, values in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied
        there = names.get_name(name.removesuffix(".weight")) + ".weight"
        if values.dim() == 1:
            writer.add_tensor(there, values.float().numpy())
            continue
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(there.split(".")[-2])
        if heads:  # the halves of a head's rows are interleaved in such a file
            values = values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        codes = GGML["q4_1"](values)["codes"].numpy().reshape(values.shape[0], -1)
        writer.add_tensor(there, codes, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    code, report = run(options.binary, *command[:6], "--candidate", work / "q4_1.gguf", "--scheme", "q4_1", "--deployment", "A",
                       "--compute", "fp32", "--blame", "off", "--inconclusive", "pass")
    tally.check("GGUF of libggml: runs", code in (0, 1), f"exit {code}")
    for order in ("base alone", "A"):
        pick = lambda scheme: next(row for row in report["metrics"]["schemes"] if row["deployment"] == order and row["scheme"] == scheme)
        found, expected = pick("q4_1.gguf"), pick("q4_1")
        tally.check(f"GGUF of libggml: {order}", found["bytes"] == expected["bytes"]
                    and abs(found["kld_mean"] - expected["kld_mean"]) <= 1e-9 + 1e-4 * expected["kld_mean"],
                    f"KLD {found['kld_mean']:.6e} (simulated {expected['kld_mean']:.6e}), {found['bytes']} bytes")


def two_bits(tally, options, work, command):
    """A layer that was quantised to 2 bits is ranked first by both, whichever it is."""
    for layer in (1, 2):
        folder = work / f"two-bits-{layer}"
        model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.bfloat16)
        with torch.no_grad():
            for name, module in linear_weights(model).items():
                if f"layers.{layer}." in name:
                    step = module.weight.abs().amax(1, keepdim=True) / 1.5
                    module.weight.copy_((torch.clamp(torch.round(module.weight / step - 0.5), -2, 1) + 0.5) * step)
                else:
                    module.weight.copy_(int8(module.weight))
        model.save_pretrained(folder)
        code, report = run(options.binary, *command[:6], "--candidate", folder, "--compute", "fp32", "--blame", "swap", "--inconclusive", "pass")
        rows = report["metrics"]["layers"]
        by_estimate = max(rows, key=lambda row: row["estimate"])
        tally.check(f"2 bits in layer {layer}: ranked first", rows[0]["layer"] == layer and by_estimate["layer"] == layer,
                    f"swap {rows[0]['layer']} ({rows[0]['swap']:.2e}, next {rows[1]['swap']:.2e}), estimate {by_estimate['layer']}")
        whole = next(row["kld_mean"] for row in report["metrics"]["schemes"] if row["deployment"] == "A")
        tally.check(f"2 bits in layer {layer}: left out", rows[0]["left_out"] < 0.1 * whole, f"KLD {whole:.2e}, without it {rows[0]['left_out']:.2e}")


def suggestion(tally, options, command, simulated, python, sequences, reference):
    """What --suggest keeps in 16 bit brings the deployment under the limit, in Python too."""
    whole = next(row["kld_mean"] for row in simulated["metrics"]["schemes"] if (row["scheme"], row["deployment"]) == ("nf4", "A"))
    limit = whole / 3
    code, report = run(options.binary, *command[:6], "--scheme", "nf4", "--deployment", "A", "--compute", "fp32", "--blame", "swap",
                       "--suggest", "--set", f"quant.kld.max={limit:.12f}", "--inconclusive", "pass")
    found = report["metrics"]["mixed_precision"][0]
    floor = report["metrics"]["reference"]["floor_kld"]
    expected = figures(reference, log_probabilities(python.lane("A", "nf4", found["modules"]), sequences), sequences)["kld_mean"]
    tally.check("suggestion: fails before it", code == 1, f"exit {code}")
    tally.check("suggestion: under the limit", found["within_limit"] and found["kld_mean"] <= limit + floor < whole,
                f"{len(found['modules'])} modules, KLD {found['kld_mean']:.2e} of {whole:.2e}, limit {limit:.2e}")
    tally.check("suggestion: as Python measures it", abs(found["kld_mean"] - expected) <= 1e-7 + 5e-3 * expected, f"{expected:.3e}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("binary", "base", "adapter", "golden", "work"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--prompts", type=int, default=8)
    options = parser.parse_args()
    tally = Tally()
    work = fresh_folder(pathlib.Path(options.work))
    command, simulated, python, sequences, reference = compare(tally, options, work)
    candidate(tally, options, work, command, simulated)
    torchao_candidate(tally, options, work, command, python, sequences, reference)
    torchao_inputs(tally, options, work, command, sequences, log_probabilities(python.lane("base", None), sequences))
    blame(tally, options, command)
    if GGML:
        ggml_candidate(tally, options, work, command)
    two_bits(tally, options, work, command)
    suggestion(tally, options, command, simulated, python, sequences, reference)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
