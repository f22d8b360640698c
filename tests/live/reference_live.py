#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds what `loraproof validate --record` writes against transformers and PEFT.

reference_live.py --binary PATH --base DIR [--adapter DIR] --golden SUITE --work DIR [--generate N]

Records into a copy of the suite, in bf16, then checks, prompt by prompt:
  prompt ids      equal apply_chat_template (messages) or the tokenizer (plain prompts)
  answer ids      equal transformers' greedy `generate` in bf16 for the first N prompts (default: all)
                  and its teacher-forced choices for the rest, or first differ at a tie: its bf16
                  logits of the two tokens lie no further apart than twice the largest difference
                  between its own bf16 and fp32 logits at that position
  embeddings      1 - cosine with transformers' bf16 hidden states after the final norm at most 0.001, or
                  what transformers' own bf16 and fp32 runs are apart if that is more (worst prompts); twice
                  that on processors without bf16 instructions, where we and libtorch round differently
  distributions   sorted, distinct, summing to one with the tail; KL to transformers' bf16 run over
                  the stored tokens and the tail at most twice KL(bf16 || fp32) of transformers,
                  pooled over all stored positions of all prompts
"""

import argparse
import json
import pathlib
import re
import shutil
import sys

import oracle
import torch
import yaml
from live_support import Tally, die, fresh_folder, read_json, run, skip
from safetensors.torch import load_file
from transformers import AutoTokenizer

COSINE_LIMIT = 0.001  # of 1 - cosine
OWN_LIMIT = 2.0  # times what transformers' own runs are apart
KL_LIMIT = 2.0
KL_FLOOR = 1e-8
TIE_LIMIT = 2.0


class Reference:
    """reference.safetensors and reference.json, cut into prompts."""

    def __init__(self, folder):
        self.tensors = load_file(folder / "reference.safetensors")
        self.json = read_json(folder / "reference.json")
        self.count = len(self.tensors["prompt_offsets"]) - 1

    def part(self, name, offsets, i):
        begin, end = self.tensors[offsets][i : i + 2].tolist()
        return self.tensors[name][begin:end]

    def prompt(self, i):
        return self.part("prompt_ids", "prompt_offsets", i).tolist()

    def answer(self, i):
        return self.part("answer_ids", "answer_offsets", i).tolist()

    def rows(self, name, i):
        return self.part(name, "position_offsets", i)


def suite_of(folder):
    """(settings, list of prompts) of a suite folder."""
    settings = yaml.safe_load((folder / "suite.yaml").read_text(encoding="utf-8"))
    lines = re.split(r"\r?\n", (folder / "prompts.jsonl").read_text(encoding="utf-8"))
    return settings, [json.loads(line) for line in lines if line.strip()]


def expected_prompt(tokenizer, prompt):
    if "ids" in prompt:
        return list(prompt["ids"])
    if "prompt" in prompt:
        return list(tokenizer(prompt["prompt"])["input_ids"])
    encoded = tokenizer.apply_chat_template(
        prompt["messages"], add_generation_prompt=True, return_dict=True
    )
    return list(encoded["input_ids"])


def stop_ids_of(settings, tokenizer, model):
    stop = settings.get("stop")
    if stop:
        words = stop if isinstance(stop, list) else [stop]
        return [w if isinstance(w, int) else tokenizer.convert_tokens_to_ids(w) for w in words]
    eos = model.generation_config.eos_token_id
    return eos if isinstance(eos, list) else [eos]


class Peer:
    """transformers + PEFT in bf16 and fp32, teacher-forced along a recorded prompt and answer."""

    def __init__(self, base, adapter):
        self.bf16 = oracle.load(base, adapter, torch.bfloat16)
        self.fp32 = oracle.load(base, adapter, torch.float32)

    def along(self, ids):
        """((logits, hidden) in bf16, the same in fp32) at every position of ids."""
        return oracle.forward(self.bf16, ids), oracle.forward(self.fp32, ids)


def tie(bf16, fp32, ours, theirs):
    margin = (bf16[ours] - bf16[theirs]).abs().item()
    noise = (bf16 - fp32).abs().max().item()
    return margin <= TIE_LIMIT * noise, f"margin {margin:.3f}, noise {noise:.3f}"


def judge_forced(prompt, answer, logits, fp32, problems):
    """Every recorded answer token is the peer's choice there, or a tie; returns the ties."""
    ties = 0
    for j, token in enumerate(answer):
        row = len(prompt) - 1 + j
        choice = logits[row].argmax().item()
        if choice == token:
            continue
        explained, why = tie(logits[row], fp32[row], token, choice)
        ties += explained
        problems += [] if explained else [f"token {j}: {token} instead of {choice}, {why}"]
    return ties


def judge_generated(peer, prompt, answer, stop, count, problems):
    """The recorded answer equals generate's, or parts from it at a tie; returns 1 for a tie."""
    peer.bf16.generation_config.eos_token_id = stop
    theirs = oracle.generate(peer.bf16, prompt, count).tolist()
    if answer == theirs:
        return 0
    position = next(
        (j for j, (a, b) in enumerate(zip(answer, theirs, strict=False)) if a != b),
        min(len(answer), len(theirs)),
    )
    if position >= min(len(answer), len(theirs)):
        problems.append(f"{len(answer)} tokens, generate gives {len(theirs)}")
        return 0
    (logits, _), (fp32, _) = peer.along(prompt + theirs[:position])
    explained, why = tie(logits[-1], fp32[-1], answer[position], theirs[position])
    problems += [] if explained else [f"parts from generate at token {position}: {why}"]
    return int(explained)


def judge_ending(answer, stop, count, problems):
    """An answer ends at the first stop token or at the limit, and nowhere else."""
    stops = [j for j, token in enumerate(answer) if token in stop]
    if stops:
        ok = stops[0] == len(answer) - 1
    else:
        ok = len(answer) == count
    problems += [] if ok else [f"{len(answer)} tokens, limit {count}, stop tokens at {stops}"]


def embeddings_of(prompt, answer, hidden):
    end = len(prompt)
    return {
        "embedding_last": hidden[end - 1],
        "embedding_mean": hidden[:end].mean(0),
        "embedding_answer": hidden[end : end + len(answer)].mean(0),
    }


def has_bf16():
    """Whether libtorch's bf16 products, and with them ours, run on instructions of their own."""
    return "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")


def keep_farthest(farthest, ours, theirs):
    """The largest 1 - cosine per name."""
    for name, row in theirs.items():
        cosine = torch.cosine_similarity(ours[name].double(), row.double(), dim=0).item()
        farthest[name] = max(farthest.get(name, 0.0), 1 - cosine)


def bucketed(logits, ids):
    """Log-probabilities at ids [T, k] and of everything else [T, 1], in float64."""
    logprobs = torch.log_softmax(logits.double(), -1)
    rest = logprobs.scatter(1, ids, -torch.inf).logsumexp(-1, keepdim=True)
    return torch.cat([logprobs.gather(1, ids), rest], 1)


def bucket_kl(p, q):
    """Sum over rows of KL(p || q); entries without mass count nothing."""
    terms = torch.where(p > -torch.inf, p.exp() * (p - q), 0.0)
    return terms.sum().item()


def judge_distributions(reference, i, logits, fp32, problems):
    """(KL sum ours || bf16, KL sum bf16 || fp32, rows) over the stored tokens and the tail."""
    ids = reference.rows("topk_ids", i).long()
    ours = reference.rows("topk_logprobs", i).double()
    tail = reference.rows("tail_logprob", i).double().unsqueeze(1)
    whole = torch.cat([ours, tail], 1)
    if (whole.exp().sum(1) - 1).abs().max().item() > 1e-4:
        problems.append("probabilities do not sum to one")
    if (ours.diff(dim=1) > 0).any() or any(len(set(row)) != len(row) for row in ids.tolist()):
        problems.append("top tokens are not sorted or not distinct")
    if len(ids) != len(logits):
        problems.append(f"{len(ids)} rows instead of {len(logits)}")
        return float("nan"), 0.0, len(ids)
    theirs = bucketed(logits, ids)
    return bucket_kl(whole, theirs), bucket_kl(theirs, bucketed(fp32, ids)), len(ids)


def compare(tally, reference, peer, suite, tokenizer, generated):
    settings, prompts = suite
    stop = stop_ids_of(settings, tokenizer, peer.bf16)
    count = settings.get("max_new_tokens", 64)
    tally.check("prompts", reference.count == len(prompts), f"{reference.count} of {len(prompts)}")
    ties, kl, own, rows, farthest, own_farthest = 0, 0.0, 0.0, 0, {}, {}
    for i, prompt_entry in enumerate(prompts):
        prompt, answer, problems = reference.prompt(i), reference.answer(i), []
        if prompt != expected_prompt(tokenizer, prompt_entry):
            problems.append("other prompt ids")
        judge_ending(answer, stop, count, problems)
        (logits, hidden), (fp32, fp32_hidden) = peer.along(prompt + answer)
        ties += judge_forced(prompt, answer, logits, fp32, problems)
        if i < generated:
            ties += judge_generated(peer, prompt, answer, stop, count, problems)
        theirs = embeddings_of(prompt, answer, hidden)
        keep_farthest(farthest, {name: reference.tensors[name][i] for name in theirs}, theirs)
        keep_farthest(own_farthest, embeddings_of(prompt, answer, fp32_hidden), theirs)
        sums = judge_distributions(reference, i, logits[:-1], fp32[:-1], problems)
        kl, own, rows = kl + sums[0], own + sums[1], rows + sums[2]
        tally.check(f"prompt {prompt_entry.get('id', i)}", not problems, "; ".join(problems))
    for name, apart in sorted(farthest.items()):
        limit = max(COSINE_LIMIT, (1 if has_bf16() else OWN_LIMIT) * own_farthest[name])
        detail = f"1 - cosine at most {apart:.2e}, its own bf16 and fp32 {own_farthest[name]:.2e}"
        tally.check(name, apart <= limit, detail)
    kl, own = kl / rows, max(own / rows, KL_FLOOR)
    tally.check("distributions", kl <= KL_LIMIT * own, f"KL {kl:.2e} = {kl / own:.2f} x own {own:.2e}")
    total = len(prompts) + min(generated, len(prompts))
    tally.check("ties are few", ties <= max(2, 0.2 * total), f"{ties} in {total} comparisons")


def record(options):
    """The folder of the reference that the binary wrote into a copy of the suite."""
    suite = fresh_folder(options.work) / "suite"
    shutil.copytree(options.golden, suite)
    shutil.rmtree(suite / "references", ignore_errors=True)
    words = [options.binary, "validate", "--base", options.base, "--golden", suite, "--record"]
    words += ["--adapter", options.adapter] if options.adapter else []
    status, output, errors = run(words, timeout=600)
    if status != 0:
        die(f"--record ended with exit {status}: {(errors or output).strip()[-500:]}")
    folders = list((suite / "references").iterdir())
    if len(folders) != 1:
        die(f"one reference was expected, found {folders}")
    return suite, folders[0]


def check_json(tally, reference, options):
    """reference.json names what was recorded; its k is that of the tensors."""
    values = reference.json
    compute = values.get("recorded_with", {}).get("compute")
    tally.check("compute", compute == "bf16", str(compute))
    k = reference.tensors["topk_ids"].shape[1]
    tally.check("k", values.get("k") == k, f"{values.get('k')} and {k}")
    shapes = {name: list(t.shape) for name, t in reference.tensors.items() if name.startswith("embedding")}
    hidden = read_json(options.base / "config.json")["hidden_size"]
    ok = all(shape == [reference.count, hidden] for shape in shapes.values()) and len(shapes) == 3
    tally.check("embedding shapes", ok, str(shapes))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--base", type=pathlib.Path, required=True)
    parser.add_argument("--adapter", type=pathlib.Path)
    parser.add_argument("--golden", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--generate", type=int, default=10**9, metavar="N")
    options = parser.parse_args()
    needed = [options.base / "config.json", options.golden / "prompts.jsonl"]
    needed += [options.adapter] if options.adapter else []
    for path in needed:
        if not path.exists():
            return skip(f"{path} does not exist")
    if not options.binary.exists():
        die(f"{options.binary} does not exist")
    # More threads than one only where the model is large enough to keep them busy.
    torch.set_num_threads(2 if read_json(options.base / "config.json")["hidden_size"] > 256 else 1)
    suite, folder = record(options)
    tally = Tally()
    reference = Reference(folder)
    check_json(tally, reference, options)
    peer = Peer(options.base, options.adapter)
    tokenizer = AutoTokenizer.from_pretrained(options.base)
    compare(tally, reference, peer, suite_of(suite), tokenizer, options.generate)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
