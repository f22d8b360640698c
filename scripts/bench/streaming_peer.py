#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer of scripts/bench/streaming: a forward pass over the suite's prompts under accelerate's disk offload.

    streaming_peer.py --base DIR --suite DIR --offload DIR [--cpu 1GiB] [--batch 1]

Loads the base in BF16 with device_map="auto" and a cap on CPU memory, so that the layers beyond it are read from disk in each
forward pass, and takes last-token hidden states and the top 256 log-probabilities. It applies no adapter and decodes nothing:
less than validate does. All prompts have the same length, so a batch needs no padding.
"""

import argparse
import json
import pathlib

import torch
from transformers import AutoModelForCausalLM


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--suite", required=True, type=pathlib.Path)
    parser.add_argument("--offload", required=True)
    parser.add_argument("--cpu", default="1GiB")
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    prompts = [json.loads(line) for line in (options.suite / "prompts.jsonl").read_text().splitlines() if line]
    model = AutoModelForCausalLM.from_pretrained(
        options.base,
        dtype=torch.bfloat16,
        device_map="auto",
        max_memory={"cpu": options.cpu},
        offload_folder=options.offload,
    ).eval()
    with torch.no_grad():
        for begin in range(0, len(prompts), options.batch):
            ids = torch.tensor([prompt["ids"] for prompt in prompts[begin : begin + options.batch]])
            out = model(input_ids=ids, output_hidden_states=True)
            torch.log_softmax(out.logits.float(), -1).topk(256, -1)
            out.hidden_states[-1][:, -1].float()


main()
