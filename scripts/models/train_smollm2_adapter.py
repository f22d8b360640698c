#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the LoRA adapter in tests/fixtures/smollm2/adapter and write its golden suite.

The task: an order in words becomes JSON of fixed form. The base answers in its own ways, so it
solves none; the adapter must solve orders that are not in its training set. The base is the folder
that make_smollm2.py writes.

    train_smollm2_adapter.py --base DIR --adapter DIR --suite DIR
    train_smollm2_adapter.py --base DIR --adapter DIR --suite DIR --measure-only

Revisions of it: --seed for another initialisation and order of the data, --pairs and --steps for
less training. The orders, and so the suite, stay the same whatever is given; the defaults are what
made tests/fixtures/smollm2/adapter.

Runs on one CPU thread; about ten minutes. Needs torch, transformers, peft.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

SEED = 20261124
TRAINING_PAIRS, HELD_OUT_PROMPTS = 600, 40
STEPS, BATCH, RATE = 150, 8, 6e-4
MAX_NEW_TOKENS = 32
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}

SYSTEM = "Extract the order as JSON."
PEOPLE = [
    "Anna", "Boris", "Carmen", "David", "Elena", "Farid", "Greta", "Hiro", "Ines", "Jonas",
    "Karim", "Laura", "Mateo", "Nadia", "Oscar", "Petra", "Rosa", "Samir", "Tara", "Victor",
]  # fmt: skip
ITEMS = [
    "lamps", "blue chairs", "notebooks", "coffee cups", "wool blankets", "desk fans", "candles",
    "garden hoses", "steel bolts", "picture frames", "towels", "red bricks", "batteries",
    "mirrors", "paint brushes", "bicycle bells", "clocks", "water filters", "pillows", "ropes",
]  # fmt: skip
CITIES = [
    "Oslo", "Lisbon", "Vienna", "Porto", "Madrid", "Athens", "Dublin", "Prague", "Geneva",
    "Milan", "Warsaw", "Helsinki", "Cairo", "Toronto", "Lima", "Osaka", "Seoul", "Denver",
]  # fmt: skip
REQUESTS = [
    "{c} wants {n} {i} sent to {t}.",
    "Please ship {n} {i} to {t} for {c}.",
    "This is {c} from {t}. I would like to order {n} {i}.",
    "Send {c} in {t} {n} {i}.",
    "{n} {i} for {c}, delivered to {t}.",
    "Our client {c} needs {n} {i}. The address is in {t}.",
    "To {t}: {n} {i}, ordered by {c}.",
    "Hi, {c} here, can I get {n} {i} delivered to {t}?",
]


def draw_orders(rng, count, taken):
    """`count` orders (customer, item, quantity, city), none of them in `taken`."""
    orders = []
    while len(orders) < count:
        order = (rng.choice(PEOPLE), rng.choice(ITEMS), rng.randint(2, 60), rng.choice(CITIES))
        if order not in taken:
            taken.add(order)
            orders.append(order)
    return orders


def as_prompt(rng, order):
    customer, item, quantity, city = order
    asks = rng.choice(REQUESTS).format(c=customer, i=item, n=quantity, t=city)
    keys = ("customer", "item", "quantity", "city")
    return {
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asks}],
        "expected": json.dumps(dict(zip(keys, order)), separators=(",", ":")),
    }


def make_prompts():
    """(training set, golden prompts)."""
    rng = random.Random(SEED)
    taken = set()
    held_out = [as_prompt(rng, order) for order in draw_orders(rng, HELD_OUT_PROMPTS, taken)]
    training = [as_prompt(rng, order) for order in draw_orders(rng, TRAINING_PAIRS, taken)]
    return training, held_out


def unseen_prompts(seed, count=HELD_OUT_PROMPTS):
    """Other orders, drawn from `seed`, that neither the training set nor the golden suite holds."""
    made = [prompt for prompts in make_prompts() for prompt in prompts]
    taken = {tuple(json.loads(prompt["expected"]).values()) for prompt in made}
    rng = random.Random(seed)
    return [as_prompt(rng, order) for order in draw_orders(rng, count, taken)]


def write_suite(folder, held_out):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"id": f"order-{number:03}"} | prompt, ensure_ascii=False)
        for number, prompt in enumerate(held_out, 1)
    ]
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "suite.yaml").write_text(
        f"version: 1\nname: smollm2\nprompts: prompts.jsonl\nagainst: same\n"
        f"max_new_tokens: {MAX_NEW_TOKENS}\nmatch: exact\n"
    )


def prompt_ids(tokenizer, prompt):
    text = tokenizer.apply_chat_template(
        prompt["messages"], add_generation_prompt=True, tokenize=False
    )
    return tokenizer.encode(text, add_special_tokens=False)


def batch_of(tokenizer, prompts):
    """Right-padded input_ids [B, T], and labels [B, T] on the answers only."""
    pairs = [
        (prompt_ids(tokenizer, p), tokenizer.encode(p["expected"] + "<|im_end|>")) for p in prompts
    ]
    length = max(len(asks) + len(answer) for asks, answer in pairs)
    ids = torch.full((len(pairs), length), tokenizer.pad_token_id)
    labels = torch.full((len(pairs), length), -100)
    for row, (asks, answer) in enumerate(pairs):
        end = len(asks) + len(answer)
        ids[row, :end] = torch.tensor(asks + answer)
        labels[row, len(asks) : end] = torch.tensor(answer)
    return ids, labels


def train(base, folder, training, steps, seed, dtype):
    tokenizer = AutoTokenizer.from_pretrained(base)
    # The base's values are BF16, as it is deployed; PEFT keeps the adapter's weights in float32.
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    lora = LoraConfig(
        r=8,
        lora_alpha=16,
        lora_dropout=0.0,
        target_modules=[f"{m}_proj" for m in ("q", "k", "v", "o", "gate", "up", "down")],
        task_type="CAUSAL_LM",
    )
    tuned = get_peft_model(model, lora)
    decoder, head = tuned.base_model.model.model, tuned.base_model.model.lm_head
    weights = [weight for weight in tuned.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    rng = random.Random(seed + 1)
    order = []
    tuned.train()
    began = time.monotonic()
    for step in range(steps):
        factor = min(1.0, (step + 1) / 10) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        optimizer.param_groups[0]["lr"] = RATE * factor
        if len(order) < BATCH:
            order = rng.sample(training, len(training))
        ids, labels = batch_of(tokenizer, [order.pop() for _ in range(BATCH)])
        hidden = decoder(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        # The head runs on answer positions only: it is a fifth of the model's arithmetic.
        logits = head(hidden[wanted != -100]).float()
        loss = torch.nn.functional.cross_entropy(logits, wanted[wanted != -100])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if (step + 1) % 10 == 0:
            spent = time.monotonic() - began
            print(f"step {step + 1}/{steps}, loss {loss.item():.4f}, {spent:.0f} s", flush=True)
    tuned.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    path = folder / "adapter_model.safetensors"
    # BF16 halves the file; the answers are measured on what is saved.
    halved = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(path).items()}
    save_file(halved, path, metadata={"format": "pt"})
    path.chmod(0o644)
    path = folder / "adapter_config.json"
    saved = json.loads(path.read_text())
    saved["base_model_name_or_path"] = "HuggingFaceTB/SmolLM2-135M-Instruct"
    saved["target_modules"] = sorted(saved["target_modules"])  # a set: its order changes by run
    path.write_text(json.dumps(saved, indent=2) + "\n")


@torch.no_grad()
def answers(base, adapter, dtype, prompts):
    """What the base, with the adapter where there is one, says to each prompt, greedily."""
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    asks = [tokenizer.decode(prompt_ids(tokenizer, prompt)) for prompt in prompts]
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    said = []
    for start in range(0, len(asks), 8):
        batch = tokenizer(asks[start : start + 8], return_tensors="pt", padding=True)
        result = model.generate(**batch, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        fresh = result[:, batch["input_ids"].shape[1] :]
        said += tokenizer.batch_decode(fresh, skip_special_tokens=True)
    return said


def measure(base, adapter, suite):
    lines = (suite / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [json.loads(line) for line in lines]
    for name, dtype in DTYPES.items():
        for folder in (None, adapter):
            said = answers(base, folder, dtype, prompts)
            wrong = [(s, p["expected"]) for s, p in zip(said, prompts) if s != p["expected"]]
            what = f"base{'' if folder is None else ' + adapter'}, {name}"
            print(f"{what}: exact {len(prompts) - len(wrong)}/{len(prompts)}", flush=True)
            for found, expected in wrong[: 3 if folder is None else None]:
                print(f"    expected {expected}\n    found    {found!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", type=Path, required=True, help="what make_smollm2.py wrote")
    parser.add_argument("--adapter", type=Path, required=True, help="adapter folder")
    parser.add_argument("--suite", type=Path, required=True, help="golden suite folder")
    parser.add_argument("--seed", type=int, default=SEED, help="of initialisation and data order")
    parser.add_argument("--pairs", type=int, default=TRAINING_PAIRS, help="use the first of them")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of {BATCH} pairs")
    parser.add_argument(
        "--compute", choices=DTYPES, default="bf16", help="in training; fp32 for CPUs without BF16"
    )
    parser.add_argument("--measure-only", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    if not BATCH <= arguments.pairs <= TRAINING_PAIRS or arguments.steps < 1:
        parser.error(f"--pairs is {BATCH} to {TRAINING_PAIRS}, --steps at least 1")
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    if not arguments.measure_only:
        training, held_out = make_prompts()
        write_suite(arguments.suite, held_out)
        pairs = training[: arguments.pairs]
        dtype = DTYPES[arguments.compute]
        train(arguments.base, arguments.adapter, pairs, arguments.steps, arguments.seed, dtype)
    measure(arguments.base, arguments.adapter, arguments.suite)


if __name__ == "__main__":
    main()
