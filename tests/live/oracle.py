#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What transformers and PEFT compute: logits, hidden states after the final norm, greedy answers.

oracle.py --base DIR [--adapter DIR] --ids FILE.json --out FILE.safetensors [--generate N]
oracle.py --self-check WORK

FILE.json is a list of lists of token ids; each is run alone, without padding. Tensors of sequence i:
logits.<i>, hidden.<i>, generated.<i> in f32 arithmetic; logits_bf16.<i>, hidden_bf16.<i>,
generated_bf16.<i> in bf16 (sdpa attention, values widened to f32); logits_eager.<i> in bf16 with
eager attention. --self-check holds the f32 run against a float64 run on the zoo's models.
"""

import argparse
import pathlib
import sys
import warnings

import torch
from live_support import Tally, generator, mean_kl, read_json
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()
torch.set_num_threads(1)  # tiny models, and a result that does not depend on the machine's cores


def load(base, adapter=None, dtype=torch.float32, attention="sdpa"):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, attn_implementation=attention)
    if adapter is not None:
        from peft import PeftModel

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = PeftModel.from_pretrained(model, adapter)
    return model.eval()


def decoder_of(model):
    """The transformers *Model below the head, whether or not PEFT wraps it."""
    whole = model.get_base_model() if hasattr(model, "peft_config") else model
    return whole.model


def forget_lengths(model):
    """Dynamic rope remembers the longest sequence it has met; each of ours is to be met alone."""
    decoder = decoder_of(model)
    if decoder.config.rope_parameters["rope_type"] == "dynamic":
        decoder.rotary_emb = type(decoder.rotary_emb)(config=decoder.config)


@torch.no_grad()
def forward(model, ids):
    """(logits [T, V] f32, hidden [T, D] f32) of one sequence; hidden is after the final norm."""
    forget_lengths(model)
    result = model(input_ids=torch.tensor([ids]), use_cache=False, output_hidden_states=True)
    return result.logits[0].float(), result.hidden_states[-1][0].float()


@torch.no_grad()
def generate(model, ids, count):
    """The greedy answer, with its stop token when one was produced."""
    forget_lengths(model)
    inputs = torch.tensor([ids])
    settings = model.generation_config
    output = model.generate(
        input_ids=inputs,
        attention_mask=torch.ones_like(inputs),
        do_sample=False,
        max_new_tokens=count,
        pad_token_id=settings.pad_token_id if settings.pad_token_id is not None else 0,
    )
    return output[0, len(ids) :].to(torch.int32)


def observe(base, adapter, sequences, count=0, eager=True):
    tensors = {}
    runs = [("", torch.float32, "sdpa"), ("_bf16", torch.bfloat16, "sdpa")]
    for suffix, dtype, attention in runs + ([("_eager", torch.bfloat16, "eager")] if eager else []):
        model = load(base, adapter, dtype, attention)
        for i, ids in enumerate(sequences):
            logits, hidden = forward(model, ids)
            tensors[f"logits{suffix}.{i}"] = logits.contiguous()
            if attention == "sdpa":
                tensors[f"hidden{suffix}.{i}"] = hidden.contiguous()
                if count:
                    tensors[f"generated{suffix}.{i}"] = generate(model, ids, count)
    return tensors


def sequences_for(name, lengths=(1, 2, 5, 8, 9, 16, 24, 33, 47, 70), vocabulary=300):
    random = generator(f"sequences of {name}")
    return [torch.randint(3, vocabulary, (n,), generator=random).tolist() for n in lengths]


def compare_with_float64(tally, name, base, adapter):
    sequences = sequences_for(name)
    tensors = observe(base, adapter, sequences)
    reference = load(base, adapter, torch.float64)
    if adapter is not None:
        reference = reference.double()  # PEFT makes its weights f32
    worst, scale, close = 0.0, 0.0, True
    for i, ids in enumerate(sequences):
        logits, hidden = forward(reference, ids)
        worst = max(worst, (tensors[f"logits.{i}"] - logits).abs().max().item())
        scale = max(scale, (logits.max() - logits.min()).item())
        # hidden_states[-1] has to be the input of the head: applying the head gives the logits.
        head = reference.get_output_embeddings()
        again = head(hidden.to(next(head.parameters()).dtype)).detach().float()
        close = close and torch.allclose(again, logits, atol=1e-3)
    f32 = [tensors[f"logits.{i}"] for i in range(len(sequences))]
    bf16 = [tensors[f"logits_bf16.{i}"] for i in range(len(sequences))]
    noise = mean_kl(bf16, f32)
    entropy = -sum((t.softmax(-1) * t.log_softmax(-1)).sum().item() for t in f32) / sum(map(len, f32))
    detail = f"f32-f64 {worst / scale:.1e} of range {scale:.1f}, bf16 KL {noise:.1e}, entropy {entropy:.2f}"
    tally.check(name, worst <= 2e-5 * scale and close and 1e-6 < noise < 0.1, detail)


def self_check(work):
    from zoo import build
    from zoo_adapters import build_adapters

    tally = Tally()
    folders = build(work)
    bases = {name: folder for name, (folder, _) in folders.items()}
    for name, (folder, twin) in folders.items():
        if twin is None:
            compare_with_float64(tally, name, folder, None)
            continue
        copy, original = load(folder), load(bases[twin])
        same = all(
            torch.equal(forward(copy, ids)[0], forward(original, ids)[0]) for ids in sequences_for(twin)
        )
        tally.check(name, same, f"read as {twin}")
    for adapter in build_adapters(work, bases):
        compare_with_float64(tally, adapter.name, bases[adapter.model], adapter.folder)
        ids = sequences_for(adapter.model)[-1]
        change = mean_kl(
            [forward(load(bases[adapter.model], adapter.folder), ids)[0]],
            [forward(load(bases[adapter.model]), ids)[0]],
        )
        tally.check(f"{adapter.name} acts", change > 1e-3, f"KL to the base {change:.3f}")
    return tally.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", type=pathlib.Path)
    parser.add_argument("--adapter", type=pathlib.Path)
    parser.add_argument("--ids", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--generate", type=int, default=0)
    parser.add_argument("--self-check", type=pathlib.Path, metavar="WORK")
    options = parser.parse_args()
    if options.self_check:
        return self_check(options.self_check)
    if not (options.base and options.ids and options.out):
        parser.error("--base, --ids and --out are needed")
    sequences = read_json(options.ids)
    save_file(observe(options.base, options.adapter, sequences, options.generate), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
