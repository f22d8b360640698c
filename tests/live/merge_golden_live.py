#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `merge --golden` with transformers and PEFT: merge_golden_live.py --binary LORAPROOF --work FOLDER [--real BASE ADAPTER]

Our figures of merged against unmerged, prompt by prompt, must be those of PEFT's unmerged model against our merged folder as transformers
loads it, in float32 and over the whole vocabulary. And a merge that is right by the arithmetic but loses the adapter in rounding is refused.
"""
import argparse
import json
import pathlib
import sys
import warnings

from live_support import Tally, fresh_folder, generator, read_json, run, skip

try:
    import torch
    import transformers
    from merge_live import ATTENTION, LINEAR, LLAMA, MODELS, Case, make_adapter, make_base
    from peft import PeftModel
    from safetensors.torch import load_file, save_file
except ImportError as error:
    sys.exit(skip(f"skipped: {error}"))

SOURCE = pathlib.Path(__file__).resolve().parents[2]
MODELS["llama-wide"] = (transformers.LlamaConfig, {**LLAMA, "intermediate_size": 4096, "tie_word_embeddings": False})
CASES = [
    Case("plain", "llama", {"target_modules": LINEAR}),
    Case("tied", "llama-tied", {"target_modules": ["lm_head", "q_proj"]}),
    Case("dora", "mistral", {"target_modules": LINEAR, "use_dora": True}),
    Case("bias", "qwen2", {"target_modules": ATTENTION, "bias": "all"}),
    Case("saved", "llama", {"target_modules": ATTENTION, "modules_to_save": ["lm_head", "embed_tokens"]}),
    Case("half", "qwen2", {"target_modules": LINEAR}, flags=("--weight", "0.5")),
]


def write_suite(folder, prompts, max_new_tokens):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.yaml").write_text(f"version: 1\nname: live\nprompts: prompts.jsonl\nmax_new_tokens: {max_new_tokens}\n")
    (folder / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))


def unmerged_model(base, adapter, weight):
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(model, adapter)
    for module in model.modules():
        if hasattr(module, "scaling") and isinstance(module.scaling, dict):
            module.scaling = {name: scale * weight for name, scale in module.scaling.items()}
    return model.eval()


def states_of(model, ids):
    """log-probabilities in float64 and the hidden state after the final norm."""
    with torch.no_grad():
        out = model(torch.tensor([ids]), output_hidden_states=True)
    return out.logits[0].double().log_softmax(-1), out.hidden_states[-1][0].double()


def figures_of(unmerged, merged, prompt, answer):
    p, h = states_of(unmerged, prompt + answer)
    q, g = states_of(merged, prompt + answer)
    kl = (p.exp() * (p - q)).sum(-1)
    last = len(prompt) - 1
    figures = {"kl_prompt": kl[:last].mean().item(), "l2_last": ((g - h)[last].norm() / h[last].norm()).item(),
               "cosine_last": torch.nn.functional.cosine_similarity(h[last], g[last], dim=0).item()}
    if answer:
        figures["kl_answer"] = kl[last : last + len(answer)].mean().item()
    return figures


def compare(tally, name, report, ours, relative, absolute):
    """`ours`: per prompt, figures by the peers; those of the report must agree."""
    for key in ("kl_prompt", "kl_answer", "cosine_last", "l2_last"):
        pairs = [(row[key], peer[key]) for row, peer in zip(report["prompts"], ours) if key in peer]
        if not pairs:
            continue
        distance = (lambda v: 1 - v) if key == "cosine_last" else (lambda v: v)
        worst = max(abs(distance(a) - distance(b)) - relative * abs(distance(b)) for a, b in pairs)
        means = [sum(distance(pair[i]) for pair in pairs) / len(pairs) for i in (0, 1)]
        tally.check(f"{name}: {key} of {len(pairs)} prompts", worst <= absolute, f"mean {means[0]:.4g}, peers {means[1]:.4g}, beyond {worst:.2g}")


def merge(binary, base, adapter, out, suite, *flags):
    fresh_folder(out).rmdir()
    code, report, complaint = run([binary, "merge", "--base", base, "--adapter", adapter, "--out", out, "--golden", suite,
                                   "--compute", "fp32", "--device", "cpu", "--format", "json", "--quiet", *flags])
    return code, json.loads(report) if report else {}, complaint


def check_case(tally, binary, work, case):
    base, adapter, out, suite = (work / case.name / part for part in ("base", "adapter", "out", "suite"))
    make_base(case.model, case.dtype, base)
    make_adapter(case, base, adapter)
    random = generator(case.name)
    prompts = [torch.randint(3, 90, (5 + i % 7,), generator=random).tolist() for i in range(40)]
    write_suite(suite, [{"id": f"p{i}", "ids": ids} for i, ids in enumerate(prompts)], 6)
    code, report, complaint = merge(binary, base, adapter, out, suite, *case.flags)
    if not tally.check(f"{case.name}: merged", code == 0, complaint or json.dumps([c for c in report.get("checks", []) if c["status"] != "pass"])[:800]):
        return
    weight = float(case.flags[1]) if "--weight" in case.flags else 1.0
    unmerged = unmerged_model(base, adapter, weight)
    merged = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    figures, same = [], 0
    for ids, row in zip(prompts, report["prompts"], strict=True):
        said = unmerged.generate(input_ids=torch.tensor([ids]), max_new_tokens=6, do_sample=False, pad_token_id=0)[0][len(ids):].tolist()
        text = row.get("reference_text", row["text"])  # without a tokenizer: the ids
        same += text == str(said)
        figures.append(figures_of(unmerged, merged, ids, said if text == str(said) else []))
    tally.check(f"{case.name}: greedy answers are PEFT's", same >= 38, f"{same} of 40")
    compare(tally, case.name, report, figures, relative=0.02, absolute=2e-7)


def check_rounded_away(tally, binary, work):
    """A change of which BF16 keeps no element, while their sum over a wide layer is more than noise: weights of exactly +-1, each moved by
    less than half a step (1/256), all columns of a row the same way."""
    case = Case("swallowed", "llama-wide", {"target_modules": ["down_proj"], "r": 1, "lora_alpha": 1})
    base, adapter, out, suite = (work / case.name / part for part in ("base", "adapter", "out", "suite"))
    make_base(case.model, torch.bfloat16, base)
    make_adapter(case, base, adapter)
    weights = load_file(base / "model.safetensors")
    random = generator("signs")
    for name, value in weights.items():
        if name.endswith("down_proj.weight"):
            weights[name] = torch.where(torch.rand(value.shape, generator=random) < 0.5, -1.0, 1.0).to(value.dtype)
        elif not name.endswith("lm_head.weight"):  # positive, so that what enters down_proj has a mean
            weights[name] = value.abs()
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    factors = load_file(adapter / "adapter_model.safetensors")
    for name, value in factors.items():
        ones = torch.ones_like(value) if "lora_A" in name else torch.where(torch.arange(value.shape[0])[:, None] % 2 == 0, 1.0, -1.0) * 0.0038
        factors[name] = ones.to(value.dtype).contiguous()
    save_file(factors, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    prompts = [torch.randint(3, 90, (6 + i % 5,), generator=random).tolist() for i in range(40)]
    write_suite(suite, [{"id": f"p{i}", "ids": ids} for i, ids in enumerate(prompts)], 4)
    code, report, complaint = merge(binary, base, adapter, out, suite)
    status = {check["id"]: check["status"] for check in report["checks"]}
    tally.check("rounded away: refused", code == 1 and not out.exists(), f"exit {code} {complaint} {status}")
    tally.check("rounded away: seen in hidden states or distributions", "fail" in (status.get("merge.golden_embedding"), status.get("merge.golden_kl_prompt")),
                " ".join(f"{check['id']} {check['value']:.3g}" for check in report["checks"] if "golden_" in check["id"]))
    code, report, complaint = merge(binary, base, adapter, out, suite, "--dtype", "fp32")
    tally.check("rounded away: a wider type keeps it", code == 0 and out.exists(), f"exit {code} {complaint}")


def check_real(tally, binary, work, base, adapter):
    """A trained adapter on a real model, BF16 weights: figures of the prompts of its suite."""
    out, suite = work / "real", work / "suite"
    lines = (SOURCE / "golden/suites/smollm2/prompts.jsonl").read_text().splitlines()
    write_suite(suite, [{key: value for key, value in json.loads(line).items() if key in ("id", "messages")} for line in lines], 16)
    code, report, complaint = merge(binary, base, adapter, out, suite)
    if not tally.check("real model: merged", code == 0, complaint):
        return
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    unmerged, merged = unmerged_model(base, adapter, 1.0), transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    figures = []
    for line in lines[:12]:
        ids = tokenizer.apply_chat_template(json.loads(line)["messages"], add_generation_prompt=True, return_dict=True)["input_ids"]
        figures.append(figures_of(unmerged, merged, list(ids), []))
    # Ours are over 1024 tokens and one bin: a little below those over all 49,152.
    compare(tally, "real model", report, figures, relative=0.15, absolute=1e-6)
    unlike = sum(row["kl_prompt"] > 1.02 * peer["kl_prompt"] for row, peer in zip(report["prompts"], figures))
    tally.check("real model: KL over the top is no larger than over all", unlike == 0, f"{unlike} of {len(figures)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--real", nargs=2, type=pathlib.Path, metavar=("BASE", "ADAPTER"))
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    fresh_folder(options.work)
    tally = Tally()
    if options.real:
        check_real(tally, options.binary, options.work, *options.real)
        return tally.finish()
    for case in CASES:
        if options.only and case.name not in options.only:
            continue
        check_case(tally, options.binary, options.work, case)
    check_rounded_away(tally, options.binary, options.work)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
