# SPDX-License-Identifier: Apache-2.0
"""What the live tests of candidates share: candidate_probe, the comparison value for value, a tiny model."""

import json

import numpy as np
import torch
from live_support import generator, run


class Probe:
    """What candidate_probe says of a candidate: weights by name, and everything else it printed."""

    def __init__(self, binary, candidate, work, rows=7):
        out = work / "probe.bin"
        status, stdout, stderr = run([binary, candidate, out, rows])
        self.status = status
        self.said = json.loads(stdout) if stdout else {"error": stderr}
        self.values = np.memmap(out, dtype="<f4", mode="r") if status == 0 else None
        self.entries = {entry["name"]: entry for entry in self.said.get("weights", [])}

    def weight(self, name):
        entry = self.entries[name]
        size = int(np.prod(entry["shape"], dtype=np.int64))
        begin = entry["offset"]
        return self.values[begin : begin + size].reshape(entry["shape"])


def differing(found, expected):
    """How many elements differ in their bits (zeros of either sign are equal, so are NaNs)."""
    expected = np.asarray(expected)
    if found.shape != expected.shape:
        return -1
    return int(np.count_nonzero(~((found == expected) | (np.isnan(found) & np.isnan(expected)))))


def compare(tally, label, probe, expected, methods=None):
    """`expected`: {name: tensor}. Every weight of either side must be in the other."""
    if probe.status != 0:
        tally.check(label, False, str(probe.said))
        return
    missing = sorted(set(expected) ^ set(probe.entries))
    worst, total = 0, 0
    for name in expected:
        if name in probe.entries:
            values = expected[name]
            if isinstance(values, torch.Tensor):
                values = values.detach().float().numpy()
            wrong = differing(probe.weight(name), values)
            worst += wrong if wrong >= 0 else 10**9
            total += values.size
    quantised = {e["method"] for e in probe.entries.values()} - {"bf16", "f32", "f16"}
    good = not missing and worst == 0 and (methods is None or methods == quantised)
    detail = f"{len(expected)} weights, {total} values, {worst} differ; {sorted(quantised)}"
    tally.check(label, good, detail + (f" names: {missing[:4]}" if missing else ""))


def tiny_llama(dtype=torch.bfloat16, hidden=64, inner=96):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=48,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    config.dtype = dtype
    model = LlamaForCausalLM(config).to(dtype)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator(name))
            # Rows of very different sizes, one of zeros.
            if parameter.dim() == 2:
                noise *= torch.logspace(-2, 1, parameter.shape[0])[:, None]
                noise[1] = 0
            parameter.copy_(noise)
    return model


def plain_weights(model):
    return {n: p for n, p in model.named_parameters() if p.is_floating_point()}
