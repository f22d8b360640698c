#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer of scripts/bench/streaming: the comparison of validate_peer.py under accelerate's disk offload.

    streaming_peer.py --base DIR --adapter DIR --suite DIR --offload DIR [--cpu 1GiB] [--batch 8] [--score]

Loads base and adapter in BF16 with device_map="auto" and a cap on CPU memory, so that the layers beyond it are read from disk in
each forward pass; takes last-token hidden states and the top 256 log-probabilities of a forward pass over each batch of
prompts, and generates their answers. With --score it does what few scripts do: prompt and recorded answer in one forward
pass, nothing generated. All prompts have the same length, so a batch needs no padding.
"""

import argparse
import json
import pathlib
import warnings

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def load(options):
    placed = {"device_map": "auto", "max_memory": {"cpu": options.cpu}, "offload_folder": options.offload}
    base = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.bfloat16, **placed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights on the meta device, one warning for each
        return PeftModel.from_pretrained(base, options.adapter, **placed).eval()


def recorded_answers(suite):
    reference = load_file(next(suite.glob("references/*/reference.safetensors")))
    offsets = reference["answer_offsets"].tolist()
    return [reference["answer_ids"][a:b].tolist() for a, b in zip(offsets, offsets[1:])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--suite", required=True, type=pathlib.Path)
    parser.add_argument("--offload", required=True)
    parser.add_argument("--cpu", default="1GiB")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--score", action="store_true")
    options = parser.parse_args()
    prompts = [json.loads(line)["ids"] for line in (options.suite / "prompts.jsonl").read_text().splitlines() if line]
    answers = recorded_answers(options.suite)
    if options.score:
        prompts = [prompt + answer for prompt, answer in zip(prompts, answers)]
    model, same = load(options), 0
    with torch.no_grad():
        for begin in range(0, len(prompts), options.batch):
            ids = torch.tensor(prompts[begin : begin + options.batch])
            wanted = torch.tensor(answers[begin : begin + options.batch])
            out = model(input_ids=ids, output_hidden_states=True)
            torch.log_softmax(out.logits.float(), -1).topk(256, -1)
            out.hidden_states[-1][:, -1].float()
            length = wanted.shape[1]
            if options.score:
                new = out.logits[:, -length - 1 : -1].argmax(-1)
            else:
                new = model.generate(input_ids=ids, max_new_tokens=length, min_new_tokens=length, do_sample=False)[:, -length:]
            same += int((new == wanted).sum())
    print(f"{same} of {sum(map(len, answers))} answer tokens are the recorded ones")


main()
