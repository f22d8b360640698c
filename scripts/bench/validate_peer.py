#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer of scripts/bench/validate: the same comparison as a transformers + PEFT script does it.

    validate_peer.py --base DIR --adapter DIR --suite DIR [--batch 8] [--new-tokens 32]

Loads base and adapter in BF16, renders the suite's prompts, takes last-token hidden states and next-token log-probabilities
of one forward pass, generates greedily in left-padded batches, and counts the answers that equal `expected`.
"""

import argparse
import json
import pathlib

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--suite", required=True, type=pathlib.Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=32)
    options = parser.parse_args()
    prompts = [json.loads(line) for line in (options.suite / "prompts.jsonl").read_text().splitlines() if line]
    tokenizer = AutoTokenizer.from_pretrained(options.base, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(model, options.adapter).eval()
    right = 0
    with torch.no_grad():
        for begin in range(0, len(prompts), options.batch):
            part = prompts[begin : begin + options.batch]
            texts = [tokenizer.apply_chat_template(p["messages"], tokenize=False, add_generation_prompt=True) for p in part]
            inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
            out = model(**inputs, output_hidden_states=True)
            torch.log_softmax(out.logits.float(), -1).topk(256, -1)
            out.hidden_states[-1][:, -1].float()
            new = model.generate(**inputs, max_new_tokens=options.new_tokens, do_sample=False)
            answers = tokenizer.batch_decode(new[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            right += sum(answer == p.get("expected") for answer, p in zip(answers, part))
    print(f"{right} of {len(prompts)} answers are as expected")


main()
