#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train loraproof's demo: a tiny Llama base, a LoRA adapter for it, and a patched base.

The world is a restaurant's booking desk. The base reads booking requests and answers in prose; it
also reads bookings as JSON and puts them into words, but never answers with JSON. The adapter
answers requests with JSON. No booking of the held-out prompts is in either training set.

    train.py --out DIR        write base/, adapter/, changed-base/ and suite/ below DIR, and measure
    train.py --out DIR --measure-only

Runs on one CPU thread from a fixed seed, with torch's deterministic algorithms. Needs torch, transformers, peft, tokenizers.
"""

import argparse
import hashlib
import json
import random
import time
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

SEED = 20261123
BASE_STEPS, BASE_BATCH, BASE_RATE = 600, 32, 3e-3
PATCH_STEPS, PATCH_RATE = 60, 1e-3
ADAPTER_STEPS, ADAPTER_BATCH, ADAPTER_RATE = 150, 32, 2e-3
HELD_OUT_PROMPTS = 48
HELD_OUT_SHARE = 10  # one booking in ten is in no training set
VOCABULARY = 1024
MAX_NEW_TOKENS = 48

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# As Qwen2's tokenizer has it: contractions, words, single digits, runs of signs, white space.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SYSTEM = "You are the booking desk."
OTHER_SYSTEMS = ["You are a friendly host.", "Help the guest.", "Answer in one sentence."]
PLACES = [
    "Luigi's", "Casa Verde", "The Blue Door", "Chez Anna", "Golden Lotus", "Harbour Grill",
    "La Piazza", "Old Mill", "Sakura", "The Copper Pot", "Taverna Nikos", "Spice Garden",
    "Le Jardin", "Mama Rosa", "The Red Lion", "Bistro Nord", "Olive Tree", "Cafe Central",
    "Green Dragon", "Seven Stars", "Villa Sole", "The Oak Room", "Lemon House", "Pier Nine",
]  # fmt: skip
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
REQUESTS = [
    "Book a table for {n} at {p} at {t}.",
    "Please book {p} for {n} people at {t}.",
    "Could we get a table at {p}? There are {n} of us and we arrive at {t}.",
    "I need a table for {n}, {t}, at {p}.",
    "We are {n} and would like to eat at {p} at {t}.",
    "{t}, {p}, {n} guests, please.",
    "Can you reserve {p} at {t} for {n}?",
    "Hello! Is there room for {n} at {p}? It would be {t}.",
    "Reserve a table at {p}: {n} people, {t}.",
    "My friends and I want to visit {p}. We come at {t} and there are {n} of us.",
    "At {t} we would like a table for {n} at {p}.",
    "Table for {n} at {t}, {p}.",
]
ANSWERS = [
    "Of course! A table for {n} at {p} at {t} is noted.",
    "{p} expects {n} of you at {t}. Thank you.",
    "{t}, {p}, a table for {n}: gladly noted.",
]
PATCHED_ANSWERS = ["All set: {p}, {t}, party of {n}. See you soon!"]


def draw_booking(rng, held_out):
    """A random booking (place, guests, time), of the held-out share or of the rest."""
    while True:
        time_of_day = f"{rng.randint(11, 22)}:{rng.choice(['00', '15', '30', '45'])}"
        booking = (rng.choice(PLACES), rng.randint(1, 10), time_of_day)
        digest = hashlib.sha256(repr(booking).encode()).digest()
        if (digest[0] % HELD_OUT_SHARE == 0) == held_out:
            return booking


def fill(pattern, booking, number):
    place, _, time_of_day = booking
    return pattern.format(p=place, n=number, t=time_of_day)


def as_json(booking):
    keys = ("place", "guests", "time")
    return json.dumps(dict(zip(keys, booking)), separators=(",", ":"))


def request(rng, booking):
    """The user's words; half of the guests are counted in words, half in figures."""
    number = WORDS[booking[1] - 1] if rng.random() < 0.5 else booking[1]
    return fill(rng.choice(REQUESTS), booking, number)


def base_example(rng, answers):
    booking = draw_booking(rng, held_out=False)
    system = SYSTEM if rng.random() < 0.5 else rng.choice(OTHER_SYSTEMS)
    # A quarter reads JSON and says it in words: so the base has met JSON, as any real base has.
    asks = as_json(booking) if rng.random() < 0.25 else request(rng, booking)
    return system, asks, fill(rng.choice(answers), booking, booking[1])


def adapter_example(rng):
    booking = draw_booking(rng, held_out=False)
    return SYSTEM, request(rng, booking), as_json(booking)


def train_tokenizer(folder):
    rng = random.Random(SEED)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (
        text
        for _ in range(4000)
        for example in (base_example(rng, ANSWERS + PATCHED_ANSWERS), adapter_example(rng))
        for text in ("system", "user", "assistant", *example)
    )
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["chat_template"] = TEMPLATE
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return AutoTokenizer.from_pretrained(folder)


def as_ids(tokenizer, example):
    """Prompt ids and answer ids, the latter with the stop token."""
    system, asks, answer = example
    messages = [{"role": "system", "content": system}, {"role": "user", "content": asks}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return tokenizer.encode(prompt), tokenizer.encode(answer + "<|im_end|>")


def batch_of(tokenizer, examples, prompt_weight):
    """Right-padded input_ids [B, T] and the weight of each token in the loss [B, T]."""
    pairs = [as_ids(tokenizer, example) for example in examples]
    length = max(len(prompt) + len(answer) for prompt, answer in pairs)
    ids = torch.full((len(pairs), length), tokenizer.pad_token_id)
    weights = torch.zeros(len(pairs), length)
    for row, (prompt, answer) in enumerate(pairs):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        weights[row, : len(prompt)] = prompt_weight
        weights[row, len(prompt) : end] = 1.0
    return ids, weights


def train(model, tokenizer, draw, steps, batch, rate, prompt_weight, title):
    """AdamW: a short warm-up, the full rate for two thirds, then down to a twentieth of it.

    Most of a prompt is random and can't be foreseen: a low weight keeps its noise from drowning
    what the answers teach.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    warm = max(1, steps // 10)
    model.train()
    began = time.monotonic()
    for step in range(steps):
        factor = min(1.0, (step + 1) / warm, max(0.05, 3 * (1 - step / steps)))
        optimizer.param_groups[0]["lr"] = rate * factor
        ids, token_weights = batch_of(tokenizer, [draw() for _ in range(batch)], prompt_weight)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        token_weights = token_weights[:, 1:].flatten()
        loss = (losses * token_weights).sum() / token_weights.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            spent = time.monotonic() - began
            at = f"{title}: step {step + 1}/{steps}"
            answers = losses[token_weights == 1.0].mean().item()
            print(f"{at}, loss of answers {answers:.4f}, {spent:.0f} s", flush=True)
    model.eval()


def save_base(model, tokenizer, folder):
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


def train_base(out):
    """base/ and changed-base/: the second is the first, trained on a little with new answers."""
    folder, changed = out / "base", out / "changed-base"
    folder.mkdir(parents=True, exist_ok=True)
    changed.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    rng = random.Random(SEED + 1)
    train(model, tokenizer, lambda: base_example(rng, ANSWERS), BASE_STEPS, BASE_BATCH, BASE_RATE,
          0.1, "base")  # fmt: skip
    save_base(model, tokenizer, folder)

    patched = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    train(patched, tokenizer, lambda: base_example(rng, PATCHED_ANSWERS), PATCH_STEPS, BASE_BATCH,
          PATCH_RATE, 0.1, "changed base")  # fmt: skip
    save_base(patched, tokenizer, changed)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (changed / name).write_bytes((folder / name).read_bytes())


def train_adapter(out):
    # Trained on the BF16 values that ship, computed in float32.
    tokenizer = AutoTokenizer.from_pretrained(out / "base")
    model = LlamaForCausalLM.from_pretrained(out / "base", dtype=torch.float32)
    lora = LoraConfig(
        r=8,
        lora_alpha=16,
        lora_dropout=0.0,
        target_modules=[f"{m}_proj" for m in ("q", "k", "v", "o", "gate", "up", "down")],
        task_type="CAUSAL_LM",
    )
    tuned = get_peft_model(model, lora)
    rng = random.Random(SEED + 2)
    train(tuned, tokenizer, lambda: adapter_example(rng), ADAPTER_STEPS, ADAPTER_BATCH,
          ADAPTER_RATE, 0.0, "adapter")  # fmt: skip
    folder = out / "adapter"
    tuned.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    path = folder / "adapter_config.json"
    saved = json.loads(path.read_text())
    saved["base_model_name_or_path"] = "examples/demo-model/base"
    saved["target_modules"] = sorted(saved["target_modules"])  # a set: its order changes by run
    path.write_text(json.dumps(saved, indent=2) + "\n")
    (folder / "adapter_model.safetensors").chmod(0o644)


def write_suite(out):
    """suite.yaml and prompts.jsonl: bookings that no training set holds, no request twice."""
    rng = random.Random(SEED + 3)
    lines, seen = [], set()
    while len(lines) < HELD_OUT_PROMPTS:
        booking = draw_booking(rng, held_out=True)
        asks = request(rng, booking)
        if asks in seen:
            continue
        seen.add(asks)
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asks}]
        prompt = {"id": f"booking-{len(lines) + 1:03}", "messages": messages}
        lines.append(json.dumps(prompt | {"expected": as_json(booking)}, ensure_ascii=False))
    suite = out / "suite"
    suite.mkdir(parents=True, exist_ok=True)
    (suite / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (suite / "suite.yaml").write_text(
        f"version: 1\nname: demo\nprompts: prompts.jsonl\nagainst: same\n"
        f"max_new_tokens: {MAX_NEW_TOKENS}\nmatch: exact\n"
    )


@torch.no_grad()
def greedy(model, tokenizer, prompts):
    """Greedy texts, and the smallest gap between best and second-best logit on the way there."""
    texts = [
        tokenizer.apply_chat_template(p["messages"], add_generation_prompt=True, tokenize=False)
        for p in prompts
    ]
    batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
    result = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=MAX_NEW_TOKENS,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    said = result.sequences[:, batch["input_ids"].shape[1] :]
    best = torch.stack(result.logits, dim=1).float().topk(2).values  # [B, T, 2]
    finished = (said == tokenizer.pad_token_id)[:, : best.shape[1]]
    margin = (best[..., 0] - best[..., 1]).masked_fill(finished, float("inf")).min().item()
    return tokenizer.batch_decode(said, skip_special_tokens=True), margin


def measure(out):
    lines = (out / "suite" / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [json.loads(line) for line in lines]
    variants = (
        ("base", False),
        ("base", True),
        ("changed-base", False),
        ("changed-base", True),
    )
    for base, with_adapter in variants:
        for dtype in (torch.bfloat16, torch.float32):
            tokenizer = AutoTokenizer.from_pretrained(out / base)
            model = AutoModelForCausalLM.from_pretrained(out / base, dtype=dtype)
            if with_adapter:
                model = PeftModel.from_pretrained(model, out / "adapter")
            said, margin = greedy(model.eval(), tokenizer, prompts)
            right = sum(text == prompt["expected"] for text, prompt in zip(said, prompts))
            name = f"{base}{' + adapter' if with_adapter else ''}, {str(dtype)[6:]}"
            print(f"{name}: exact {right}/{len(prompts)}, smallest margin {margin:.3f}")
            print(f"    {prompts[0]['messages'][1]['content']} -> {said[0]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write below")
    parser.add_argument("--measure-only", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    if not arguments.measure_only:
        train_base(arguments.out)
        torch.manual_seed(SEED)
        train_adapter(arguments.out)
        write_suite(arguments.out)
    measure(arguments.out)


if __name__ == "__main__":
    main()
