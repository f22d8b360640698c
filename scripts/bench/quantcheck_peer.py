#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The obvious Python loop of scripts/bench/quantcheck: for each scheme the base alone, A (adapter on quantised weights) and B (merged,
then quantised), one model after the other, KLD of each against the 16-bit one.

    quantcheck_peer.py --base DIR --adapter DIR --golden SUITE --schemes NAME,... --mode forced|generate
"""
import argparse
import json
import pathlib

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def four_bit(kind):
    import bitsandbytes.functional as bnb

    def quantise(weight):
        codes, state = bnb.quantize_4bit(weight.contiguous(), quant_type=kind, blocksize=64)
        return bnb.dequantize_4bit(codes, state)

    return quantise


def per_row(levels):
    def quantise(weight):
        scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-12) / levels
        return torch.clamp(torch.round(weight / scale), -levels - 1, levels) * scale

    return quantise


def grouped(group, levels, symmetric):
    def quantise(weight):
        parts = weight.float().reshape(weight.shape[0], -1, group) if weight.shape[1] % group == 0 else weight.float().reshape(weight.shape[0], 1, -1)
        if symmetric:
            scale = parts.abs().amax(2, keepdim=True).clamp_min(1e-12) / levels
            values = torch.clamp(torch.round(parts / scale), -levels - 1, levels) * scale
        else:
            low, high = parts.amin(2, keepdim=True).clamp_max(0), parts.amax(2, keepdim=True).clamp_min(0)
            scale = ((high - low) / 15).clamp_min(1e-12)
            values = (torch.clamp(torch.round(parts / scale) - torch.round(low / scale), 0, 15) + torch.round(low / scale)) * scale
        return values.reshape(weight.shape).to(weight.dtype)

    return quantise


def e4m3(weight):
    scale = weight.abs().amax(1, keepdim=True).float().clamp_min(1e-12) / 448
    return ((weight / scale).to(torch.float8_e4m3fn).float() * scale).to(weight.dtype)


SCHEMES = {"nf4": four_bit("nf4"), "fp4": four_bit("fp4"), "llm-int8": per_row(127), "int8": per_row(127.5), "int4-g64": grouped(64, 7, False),
           "fp8": e4m3, "q8_0": grouped(32, 127, True), "q4_0": grouped(32, 7, True)}


def linear_layers(model):
    return [module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and "lora_" not in name and "lm_head" not in name]


def lane(options, order, scheme):
    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.bfloat16)
    if order != "base":
        model = PeftModel.from_pretrained(model, options.adapter)
    if order == "B":
        model = model.merge_and_unload()
    if scheme:
        with torch.no_grad():
            for module in linear_layers(model):
                module.weight.copy_(SCHEMES[scheme](module.weight))
    return model.eval()


def generate(model, tokenizer, prompts):
    batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
    out = model.generate(**batch, max_new_tokens=32, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    answers = out[:, batch["input_ids"].shape[1]:].tolist()
    return [answer[:answer.index(tokenizer.eos_token_id) + 1] if tokenizer.eos_token_id in answer else answer for answer in answers]


def log_probabilities(model, sequences):
    rows = []
    with torch.no_grad():
        for prompt, answer in sequences:
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1:-1]
            rows.append(torch.log_softmax(logits.float(), -1))
    return rows


def kld(reference, found):
    return torch.cat([(p.exp() * (p - q)).sum(1) for p, q in zip(reference, found)]).mean().item()


def main():
    parser = argparse.ArgumentParser()
    for name in ("base", "adapter", "golden", "schemes", "mode"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.base)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    lines = (pathlib.Path(options.golden) / "prompts.jsonl").read_text().splitlines()
    prompts = [tokenizer.apply_chat_template(json.loads(line)["messages"], add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"] for line in lines]
    reference = lane(options, "A", None)
    sequences = list(zip(prompts, generate(reference, tokenizer, prompts)))
    expected = log_probabilities(reference, sequences)
    base = log_probabilities(lane(options, "base", None), sequences)
    for scheme in options.schemes.split(","):
        for order in ("base", "A", "B"):
            model = lane(options, order, scheme)
            if options.mode == "generate":
                generate(model, tokenizer, prompts)
            print(scheme, order, kld(base if order == "base" else expected, log_probabilities(model, sequences)))


main()
