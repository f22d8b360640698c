#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `merge` of PEFT's methods other than LoRA with float64 truth and with PEFT: merge_methods_live.py --binary LORAPROOF --work FOLDER

Tiny random models with adapters of IA3, LoHa, LoKr, VeRA, OFT and BOFT. The truth is computed here in float64 on whole matrices from the
definitions in peft 0.21.2 tuners/*/layer.py; every 16-bit element must be it rounded once, every 32-bit one within half a unit in the last
place. PEFT merges the same adapter in float32, and answers unmerged.
"""
import argparse
import contextlib
import dataclasses
import math
import pathlib
import sys
import warnings

from live_support import Tally, fresh_folder, generator, read_json, run, skip, write_json

try:
    import peft
    import torch
    import transformers
    from merge_live import auto_class, load, logits_of, make_base, misrounded, peft_merge, scale_of, tensors_of
    from peft.tuners.boft import layer as boft_layer
    from safetensors.torch import load_file, save_file
except ImportError as error:
    sys.exit(skip(f"skipped: {error}"))

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PREFIX = "base_model.model."
LINEAR = "all-linear"
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
F16, F32, BF16 = torch.float16, torch.float32, torch.bfloat16
LOOSE = {"task_type": None}  # models that are no causal LM


class BlockDiagonals:
    """Stands for the CUDA extension that PEFT compiles for BOFT: without it PEFT makes one factor of any number."""

    @staticmethod
    def forward(blocks):  # [factors, blocks, size, size]
        return [torch.stack([torch.block_diag(*factor) for factor in blocks])]


@contextlib.contextmanager
def boft_extension(there):
    """In a case that is about its absence, PEFT finds none."""
    before, boft_layer.get_fbd_cuda = boft_layer.get_fbd_cuda, lambda: BlockDiagonals if there else None
    yield
    boft_layer.get_fbd_cuda = before


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    model: str
    method: str
    settings: dict
    dtype: torch.dtype = BF16
    adapter_dtype: torch.dtype = F32
    flags: tuple = ()
    extension: bool = True


CASES = [
    Case("ia3", "llama", "IA3", {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]}),
    Case("ia3-bf16-file", "llama", "IA3", {"target_modules": LINEAR, "feedforward_modules": r".*\.(up|gate)_proj"}, adapter_dtype=BF16),
    Case("ia3-gpt2-f16", "gpt2", "IA3", {"target_modules": ["c_attn", "mlp.c_proj"], "feedforward_modules": ["mlp.c_proj"], "fan_in_fan_out": True}, F16),
    Case("ia3-biases-f32", "qwen2", "IA3", {"target_modules": ["q_proj", "v_proj", "o_proj"], "feedforward_modules": ["v_proj"]}, F32),
    Case("ia3-saved", "mistral", "IA3", {"target_modules": ["q_proj"], "feedforward_modules": [], "modules_to_save": ["lm_head", "input_layernorm"]}),
    Case("ia3-head-tied", "llama-tied", "IA3", {"target_modules": ["lm_head"], "feedforward_modules": []}),
    Case("loha", "llama", "LoHa", {"target_modules": LINEAR, "r": 3, "alpha": 5}),
    Case("loha-patterns", "qwen2", "LoHa", {"target_modules": LINEAR, "r": 4, "alpha": 4, "rank_pattern": {"q_proj": 2, "down_proj": 7}, "alpha_pattern": {"o_proj": 3}}, F16),
    Case("loha-f32", "mistral", "LoHa", {"target_modules": ATTENTION, "r": 4, "alpha": 8, "layers_to_transform": [1]}, F32),
    Case("loha-bf16-file", "gemma", "LoHa", {"target_modules": ["lm_head", "up_proj"], "r": 2, "alpha": 3}, adapter_dtype=BF16),
    Case("loha-conv2d", "vit", "LoHa", {"target_modules": ["projection"], "r": 3, "alpha": 4, **LOOSE}),
    Case("loha-conv2d-core", "vit", "LoHa", {"target_modules": ["projection", "pooler.dense"], "r": 3, "alpha": 4, "use_effective_conv2d": True, **LOOSE}, F32),
    Case("loha-conv1d", "whisper", "LoHa", {"target_modules": ["conv1", "conv2", "q_proj"], "r": 3, "alpha": 2, "use_effective_conv2d": True, **LOOSE}),
    Case("lokr-whole", "llama", "LoKr", {"target_modules": LINEAR, "r": 8, "alpha": 8}),
    Case("lokr-split", "qwen2", "LoKr", {"target_modules": LINEAR, "r": 3, "alpha": 4}, F16),
    Case("lokr-both", "mistral", "LoKr", {"target_modules": LINEAR, "r": 2, "alpha": 3, "decompose_both": True}),
    Case("lokr-factor", "llama", "LoKr", {"target_modules": LINEAR, "r": 2, "alpha": 2, "decompose_factor": 5}, F32),
    Case("lokr-dense", "llama", "LoKr", {"target_modules": ["q_proj", "down_proj"], "r": 5, "alpha": 2, "decompose_factor": 1}, adapter_dtype=BF16),
    Case("lokr-conv2d", "vit", "LoKr", {"target_modules": ["projection"], "r": 8, "alpha": 4, **LOOSE}),
    Case("lokr-conv2d-split", "vit", "LoKr", {"target_modules": ["projection"], "r": 2, "alpha": 4, **LOOSE}, F16),
    Case("lokr-conv2d-core", "vit", "LoKr", {"target_modules": ["projection"], "r": 3, "alpha": 4, "use_effective_conv2d": True, **LOOSE}),
    Case("vera", "llama", "Vera", {"target_modules": LINEAR, "r": 16}),
    Case("vera-gpt2-f16", "gpt2", "Vera", {"target_modules": ["c_attn", "c_fc", "mlp.c_proj"], "r": 7, "fan_in_fan_out": True}, F16),
    Case("vera-bias", "qwen2", "Vera", {"target_modules": ["q_proj", "down_proj"], "r": 5, "bias": "vera_only"}, F32),
    Case("vera-to-f32", "mistral", "Vera", {"target_modules": ["k_proj", "up_proj"], "r": 8}, flags=("--dtype", "fp32")),
    Case("oft", "llama", "OFT", {"target_modules": LINEAR, "oft_block_size": 8}),
    Case("oft-cayley", "qwen2", "OFT", {"target_modules": LINEAR, "r": 4, "oft_block_size": 0, "use_cayley_neumann": False}, F16),
    Case("oft-terms-2", "mistral", "OFT", {"target_modules": ["q_proj"], "oft_block_size": 6, "num_cayley_neumann_terms": 2}),
    Case("oft-terms-7", "mistral", "OFT", {"target_modules": ATTENTION, "oft_block_size": 12, "num_cayley_neumann_terms": 7}, F32),
    Case("oft-shared", "llama", "OFT", {"target_modules": LINEAR, "oft_block_size": 12, "block_share": True, "use_cayley_neumann": False}),
    Case("oft-adjusted", "llama", "OFT", {"target_modules": LINEAR, "oft_block_size": 7}),
    Case("oft-one-block", "qwen2", "OFT", {"target_modules": ["q_proj", "down_proj"], "r": 1, "oft_block_size": 0, "use_cayley_neumann": False, "bias": "oft_only"}),
    Case("coft", "llama", "OFT", {"target_modules": ATTENTION, "oft_block_size": 8, "coft": True, "eps": 0.1, "use_cayley_neumann": False}),
    Case("oft-embedding", "llama", "OFT", {"target_modules": ["embed_tokens", "v_proj"], "oft_block_size": 8, "use_cayley_neumann": False}),
    Case("oft-embedding-tied", "llama-tied", "OFT", {"target_modules": ["embed_tokens"], "oft_block_size": 8}),
    Case("boft", "llama", "BOFT", {"target_modules": LINEAR, "boft_block_size": 4}),
    Case("boft-2", "qwen2", "BOFT", {"target_modules": LINEAR, "boft_block_size": 4, "boft_n_butterfly_factor": 2, "bias": "boft_only"}, F16),
    Case("boft-3", "mistral", "BOFT", {"target_modules": ATTENTION, "boft_block_size": 4, "boft_n_butterfly_factor": 3}),
    Case("boft-2-as-1", "llama", "BOFT", {"target_modules": ATTENTION, "boft_block_size": 8, "boft_n_butterfly_factor": 2}, extension=False),
    Case("boft-blocks", "llama", "BOFT", {"target_modules": ["q_proj", "down_proj"], "boft_block_size": 0, "boft_block_num": 4, "boft_n_butterfly_factor": 2}, F32),
]


def randomise(model, random):
    """Every trained tensor away from where it begins; the scales make the change about as large as the weights."""
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=random)
        if any(part in name for part in ("hada_w", "lokr_w", "hada_t", "lokr_t")):
            weight.data.copy_(0.4 * noise)
        elif "ia3_l" in name or "boft_s" in name:
            weight.data.copy_(1 + 0.2 * noise)
        elif "vera_lambda" in name:
            weight.data.copy_(0.4 * noise)
        elif "oft_R" in name or "oft_embedding_R" in name:  # boft_R too
            weight.data.copy_(0.1 * noise)
        elif weight.requires_grad:
            weight.data.add_(0.05 * noise)


def make_adapter(case, base, folder):
    config_class = getattr(peft, f"{case.method}Config")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(load(case.model, base, F32), config_class(**{"task_type": "CAUSAL_LM", **case.settings}))
        with torch.no_grad():
            randomise(model, generator(case.name))
        model.save_pretrained(fresh_folder(folder))
    if case.adapter_dtype != F32:
        file = folder / "adapter_model.safetensors"
        save_file({name: value.to(case.adapter_dtype) for name, value in load_file(file).items()}, file, {"format": "pt"})


def core_matrix(core, a, b):
    """What make_weight_cp of LoHa and LoKr rebuild: [out, in, height, width]."""
    return torch.einsum("ijkl,ip,jr->prkl", core, a, b)


def loha(parts, config, module, shape):
    first, second = (core_matrix(parts[f"hada_t{n}"], parts[f"hada_w{n}_a"], parts[f"hada_w{n}_b"]) if f"hada_t{n}" in parts
                     else parts[f"hada_w{n}_a"] @ parts[f"hada_w{n}_b"] for n in (1, 2))
    return (first * second * scale_of({**config, "lora_alpha": config["alpha"], "use_rslora": False}, module)).reshape(shape)


def lokr(parts, config, module, shape):
    first = parts["lokr_w1"] if "lokr_w1" in parts else parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    if "lokr_w2" in parts:
        second = parts["lokr_w2"]
    elif "lokr_t2" in parts:
        second = core_matrix(parts["lokr_t2"], parts["lokr_w2_a"], parts["lokr_w2_b"])
    else:
        second = parts["lokr_w2_a"] @ parts["lokr_w2_b"]
    first = first.reshape(*first.shape, *[1] * (second.dim() - 2))
    return (torch.kron(first, second) * scale_of({**config, "lora_alpha": config["alpha"], "use_rslora": False}, module)).reshape(shape)


def cayley(skew):
    eye = torch.eye(skew.shape[-1], dtype=torch.float64)
    return (eye - skew) @ torch.linalg.inv(eye + skew)


def oft_rotation(vectors, config, features):
    size = round((1 + math.sqrt(1 + 8 * vectors.shape[1])) / 2)
    blocks = []
    for vector in vectors:
        q = torch.zeros(size, size, dtype=torch.float64)
        q[tuple(torch.triu_indices(size, size, 1))] = vector
        q = q - q.T
        if config["coft"]:
            limit = config["eps"] / math.sqrt(vectors.shape[0])
            q = q * min(1.0, limit / q.norm().item())
        if not config["use_cayley_neumann"]:
            blocks.append(cayley(q))
            continue
        terms = config["num_cayley_neumann_terms"]
        weights = [1.0, 2.0] if terms == 2 else [1.0, 2.0, 2.0] + [2.0] * (terms - 4) + [1.0]
        blocks.append(sum(w * torch.linalg.matrix_power(q, n) for n, w in enumerate(weights)))
    if config["block_share"]:
        blocks *= features // size
    return torch.block_diag(*blocks)


def boft_rotation(raw):
    factors, count, size, _ = raw.shape
    features, rotation = count * size, torch.eye(count * size, dtype=torch.float64)
    for i in range(factors):
        order = boft_layer.BOFTLayer.block_butterfly_perm(None, features, count // 2**i, size // 2, factors - 1)
        p = torch.eye(features, dtype=torch.float64)[order]
        blocks = torch.block_diag(*[cayley((r - r.T) / 2) for r in raw[i]])
        rotation = p @ blocks @ p.T @ rotation
    return rotation


def truth_of(base, adapter, config, model):
    """Float64 value of every tensor that the adapter changes, by its stored name."""
    stored = lambda path: next(name for name in (path, path.removeprefix("transformer.")) if f"{name}.weight" in base or name == "lm_head")
    names = ("ia3_", "hada_", "lokr_", "vera_", "oft_", "boft_")
    truth, modules = {}, {}
    for key, value in adapter.items():
        path = key.removeprefix(PREFIX)
        owner, _, part = path.removesuffix(".weight").rpartition(".")
        if part.startswith(names):
            modules.setdefault(owner, {})[part] = value.double()
        else:
            module, _, kind = path.rpartition(".")
            truth[f"{stored(module.removesuffix('.base_layer'))}.{kind}"] = value.double()
    shared = modules.pop("base_model", {})
    for module, parts in modules.items():
        name, turned = stored(module), model == "gpt2"
        held = base.get(f"{name}.weight", base.get("model.embed_tokens.weight"))
        w = truth.get(f"{name}.weight", held.double()).double()  # an adapted embedding is in the file as well
        if config["peft_type"] == "IA3":
            scale = parts["ia3_l"]
            merged = w * (scale.T if turned else scale)
            if scale.shape[1] == 1 and f"{name}.bias" in base:
                truth[f"{name}.bias"] = base[f"{name}.bias"].double() * scale.flatten()
        elif config["peft_type"] == "LOHA":
            merged = w + loha(parts, config, module, w.shape)
        elif config["peft_type"] == "LOKR":
            merged = w + lokr(parts, config, module, w.shape)
        elif config["peft_type"] == "VERA":
            out, features = w.T.shape if turned else w.shape
            delta = torch.diag(parts["vera_lambda_b"]) @ shared["vera_B"][:out] @ torch.diag(parts["vera_lambda_d"]) @ shared["vera_A"][:, :features]
            merged = w + (delta.T if turned else delta)
        elif config["peft_type"] == "OFT":
            key = next(iter(parts))
            rotation = oft_rotation(parts[key], config, w.shape[1])
            merged = w @ (rotation if key == "oft_embedding_R" else rotation.T)
        else:
            merged = w @ boft_rotation(parts["boft_R"]).T * parts["boft_s"]
        truth[f"{name}.weight"] = merged
    return truth


def check_peft(tally, case, base, adapter, ours, truth):
    """PEFT in float32 is within its own error of the truth; in the base's type it rounds as we do, but for what its error decides."""
    file = lambda name: next((n for n in (name, name.removeprefix("transformer.")) if n in truth), None)
    tied = "lm_head.weight" in ours.state_dict() and case.model in ("llama-tied", "gemma")
    state = peft_merge(base, adapter, F32, case.model).state_dict()
    pairs = [(value, truth[file(name)]) for name, value in state.items() if file(name) and not (tied and "embed_tokens" in name)]
    if not tied:
        worst = max((value.double() - exact).abs().max().item() for value, exact in pairs)
        tally.check(f"{case.name}: PEFT's in float32", len(pairs) == len(truth) and worst < 5e-6, f"{worst:.1e}")
    if tied or case.dtype == F32 or case.flags:
        return
    state, differing, beyond = peft_merge(base, adapter, case.dtype, case.model).state_dict(), 0, 0
    for name, value in ours.state_dict().items():
        where = value != state[name]
        middle = (value.double() + state[name].double())[where] / 2
        differing += where.sum().item()
        beyond += 0 if not where.any() else (file(name) is None) or ((middle - truth[file(name)][where]).abs() > 2e-6).sum().item()
    tally.check(f"{case.name}: equals PEFT's merge", not beyond, f"{differing} elements are float32 ties")


def check_case(tally, binary, work, case):
    base, adapter, out = work / "base" / f"{case.model}-{case.dtype}".replace("torch.", ""), work / "adapters" / case.name, work / "out" / case.name
    if not base.exists():
        make_base(case.model, case.dtype, base)
    make_adapter(case, base, adapter)
    fresh_folder(out).rmdir()
    code, report, complaint = run([binary, "merge", "--base", base, "--adapter", adapter, "--out", out, "--quiet", "--format", "json", *case.flags])
    if not tally.check(f"{case.name}: merged", code == 0, complaint or ("" if code == 0 else report[-1500:])):
        return
    before, after, config = tensors_of(base), tensors_of(out), read_json(adapter / "adapter_config.json")
    truth = truth_of(before, load_file(adapter / "adapter_model.safetensors"), config, case.model)
    wrong, worst = misrounded(truth, after)
    tally.check(f"{case.name}: float64 rounded once", wrong == 0 and worst <= 0.5 + 1e-6, f"{len(truth)} tensors, {wrong} wrong, worst {worst:.3f} ulp")
    kept = [name for name in before if name not in truth]
    same = all(torch.equal(before[name].to(after[name].dtype), after[name]) for name in kept)
    tally.check(f"{case.name}: the rest is the base's", same and not set(after) - set(before) - set(truth) - {"lm_head.weight"}, f"{len(kept)} tensors")
    if "lm_head.weight" in set(after) - set(before) - set(truth):
        tally.check(f"{case.name}: the head keeps what it was", torch.equal(after["lm_head.weight"], before["model.embed_tokens.weight"]))
    check_metrics(tally, case, before, after, truth, read_json(out / "merge.json")["modules"])
    ours = load(case.model, out, "auto")
    check_peft(tally, case, base, adapter, ours, truth)
    if auto_class(case.model) is not transformers.AutoModelForCausalLM:
        return
    ids = torch.randint(3, 90, (2, 12), generator=generator(case.name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unmerged = logits_of(peft.PeftModel.from_pretrained(load(case.model, base, F32), adapter), ids)
    effect = (unmerged - logits_of(load(case.model, base, F32), ids)).abs().max()
    error = (logits_of(ours, ids) - unmerged).abs().max()
    tally.check(f"{case.name}: answers like the unmerged adapter", error < 0.1 * effect, f"{error:.2g} of {effect:.2g}")


def check_metrics(tally, case, before, after, truth, modules):
    """Survival and norm of the change, as the report has them."""
    worst = 0.0
    for row in modules:
        name = row["tensor"]
        if name not in truth:  # a head that is tied no longer
            worst = max(worst, row["delta_norm"])
        elif row["delta_norm"] == 0:  # the adapter holds it whole
            worst = max(worst, (truth[name] - after[name].double()).abs().max().item() / truth[name].abs().max().item() - 2**-8)
        else:
            start = before.get(name, before.get("model.embed_tokens.weight")).double()  # a tied head begins as the embedding
            intended, actual = truth[name] - start, after[name].double() - start
            rho = ((actual * intended).sum() / (intended * intended).sum()).item()
            worst = max(worst, abs(rho - row["survival"]), abs(intended.norm().item() / row["delta_norm"] - 1))
    # Sums of BF16 weights with a low rank run in float32 (docs/adr/0011).
    tally.check(f"{case.name}: survival and norm", worst < (1e-6 if case.method == "Vera" else 1e-9), f"{len(modules)} tensors, {worst:.1e}")


def check_sum(tally, binary, work):
    """Two adapters of different methods on the same weights, weighted, in one rounding; and what has no sum is refused."""
    base = work / "base" / "llama-bfloat16"
    if not base.exists():
        make_base("llama", BF16, base)
    made = {}
    for name, method, settings in (("loha", "LoHa", {"r": 3, "alpha": 4}), ("lokr", "LoKr", {"r": 2, "alpha": 3}), ("vera", "Vera", {"r": 6}),
                                   ("ia3", "IA3", {"feedforward_modules": []}), ("oft", "OFT", {"oft_block_size": 8})):
        case = Case(f"sum-{name}", "llama", method, {"target_modules": ["q_proj", "v_proj"], **settings})
        made[name] = work / "adapters" / case.name
        make_adapter(case, base, made[name])
    out, before = work / "out" / "sum", tensors_of(base)

    def merged(weights, *flags):
        return run([binary, "merge", "--base", base, "--out", out, "--force", "--quiet", *flags,
                    *[part for name, w in weights.items() for part in ("--adapter", f"{name}={made[name]}", "--weight", f"{name}={w}")]])

    for weights in ({"loha": 0.7}, {"vera": -0.5}, {"loha": 0.7, "lokr": -0.4, "vera": 1.5}):
        code, report, complaint = merged(weights)
        if not tally.check(f"sum {weights}: merged", code == 0, complaint or ("" if code == 0 else report[-1500:])):
            continue
        truth = {}
        for name, w in weights.items():
            part = truth_of(before, load_file(made[name] / "adapter_model.safetensors"), read_json(made[name] / "adapter_config.json"), "llama")
            for tensor, value in part.items():
                truth[tensor] = truth.get(tensor, before[tensor].double()) + w * (value - before[tensor].double())
        wrong, _ = misrounded(truth, tensors_of(out))
        tally.check(f"sum {weights}: float64 rounded once", wrong == 0, f"{len(truth)} tensors, {wrong} wrong")
    for name in ("loha", "lokr", "vera"):
        twice = [binary, "merge", "--adapter", made[name], "--force", "--quiet", "--base"]
        first, _, _ = run([*twice, base, "--out", work / "out" / "once"])
        code, report, _ = run([*twice, work / "out" / "once", "--out", work / "out" / "twice"])
        tally.check(f"{name} is not merged twice", (first, code) == (0, 1) and "FAIL effect.already_merged" in report, f"{first}, {code}: {report[:300]}")
    for weights, flags, words in (({"ia3": 0.5}, (), "can't be weighted"), ({"oft": 2}, (), "can't be weighted"),
                                  ({"ia3": 1, "loha": 1}, (), "can't be summed"), ({"loha": 1, "oft": 1}, (), "can't be summed"),
                                  ({"ia3": 1, "oft": 1}, (), "can't be summed"), ({"loha": 1, "lokr": 1}, ("--combine", "linear"), "can't be combined")):
        code, _, complaint = merged(weights, *flags)
        tally.check(f"refused: {weights} {' '.join(flags)}", code == 3 and words in complaint, complaint)


def check_faults(tally, binary, work):
    """Adapters that do not fit their configuration, or the base, are named and not merged."""
    base = work / "base" / "llama-bfloat16"
    if not base.exists():
        make_base("llama", BF16, base)
    made = {}
    for method, settings in (("IA3", {"feedforward_modules": ["down_proj"]}), ("LoHa", {"r": 3}), ("LoKr", {"r": 2}), ("Vera", {"r": 6}), ("OFT", {"oft_block_size": 8}), ("BOFT", {})):
        case = Case(f"fault-{method}", "llama", method, {"target_modules": ["q_proj", "down_proj"], **settings})
        made[method] = work / "adapters" / case.name
        make_adapter(case, base, made[method])
    q = PREFIX + "model.layers.0.self_attn.q_proj."
    drop = lambda key: lambda tensors, config: tensors.pop(key)
    put = lambda key, value: lambda tensors, config: tensors.update({key: value})
    say = lambda **fields: lambda tensors, config: config.update(fields)
    faults = [
        ("IA3", drop(q + "ia3_l"), 1, "landing.missing_target"),
        ("IA3", put(q + "ia3_l", torch.ones(1, 48)), 1, "landing.shape"),
        ("IA3", put(q + "ia3_l", torch.full((48, 1), torch.nan)), 1, "landing.non_finite"),
        ("IA3", put(q + "lora_A.weight", torch.ones(4, 48)), 1, "landing.unused_tensor"),
        ("IA3", put(q.replace("q_proj", "k_proj") + "ia3_l", torch.ones(24, 1)), 1, "landing.unused_tensor"),
        ("IA3", put(q.replace("layers.0", "layers.7") + "ia3_l", torch.ones(48, 1)), 1, "layers.7"),
        ("IA3", put("model.layers.0.self_attn.q_proj.ia3_l", torch.ones(48, 1)), 1, "landing.unused_tensor"),
        ("IA3", say(feedforward_modules=[]), 1, "landing.shape"),
        ("IA3", say(feedforward_modules=None), 3, "feedforward_modules"),
        ("IA3", say(feedforward_modules=["o_proj"]), 3, "not one of target_modules"),
        ("IA3", say(target_modules=["q_proj", "down_proj", "nothing"]), 1, "nothing"),
        ("IA3", say(r=4), 3, "the field 'r' is none of IA3's"),
        ("IA3", lambda tensors, config: [t.fill_(1) for t in tensors.values()], 1, "effect.zero_adapter"),
        ("LoHa", drop(q + "hada_w2_b"), 1, "landing.half_pair"),
        ("LoHa", say(r=5), 1, "landing.shape"),
        ("LoHa", say(r=0), 3, "rank"),
        ("LoHa", say(alpha=0), 1, "effect.zero_adapter"),
        ("LoHa", say(target_modules=["embed_tokens"]), 1, "does not adapt embeddings"),
        ("LoHa", lambda tensors, config: [t.zero_() for k, t in tensors.items() if "w2_b" in k], 1, "effect.zero_adapter"),
        ("LoKr", say(decompose_both=True, r=1), 1, "landing.half_pair"),
        ("LoKr", say(decompose_factor=2), 1, "landing.shape"),
        ("LoKr", say(peft_type="LOHA"), 3, "decompose_factor"),
        ("Vera", say(save_projection=False), 3, "save_projection"),
        ("Vera", drop("base_model.vera_A"), 1, "base_model.vera_A"),
        ("Vera", put("base_model.vera_B", torch.ones(40, 6)), 1, "landing.shape"),
        ("Vera", say(alpha=3), 3, "alpha"),
        ("OFT", say(oft_block_size=4), 1, "landing.shape"),
        ("OFT", say(r=4), 3, "one of r and oft_block_size"),
        ("OFT", lambda tensors, config: config.pop("oft_block_size"), 3, "before 0.14"),
        ("OFT", say(peft_version="0.17.1"), 3, "PEFT 0.18 changed the series"),
        ("OFT", say(num_cayley_neumann_terms=-3), 3, "num_cayley_neumann_terms"),
        ("OFT", say(bias="lora_only"), 3, "oft_only"),
        ("OFT", say(new_field=1), 3, "new_field"),
        ("BOFT", say(boft_block_size=5), 1, "can't be cut"),
        ("BOFT", say(boft_n_butterfly_factor=0), 3, "boft_n_butterfly_factor"),
        ("BOFT", put(q + "boft_R", torch.ones(2, 12, 4, 4)), 1, "landing.shape"),
        ("BOFT", drop(q + "boft_s"), 1, "boft_s"),
        ("BOFT", say(peft_type="POLY"), 3, "not supported yet"),
    ]
    folder, out = work / "adapters" / "fault", work / "out" / "fault"
    for number, (method, change, expected, words) in enumerate(faults):
        tensors = {name: value.clone() for name, value in load_file(made[method] / "adapter_model.safetensors").items()}
        config = read_json(made[method] / "adapter_config.json")
        change(tensors, config)
        fresh_folder(folder)
        save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
        write_json(folder / "adapter_config.json", config)
        code, report, complaint = run([binary, "merge", "--base", base, "--adapter", folder, "--out", out, "--quiet"])
        seen = code == expected and words in " ".join((report + complaint).split()) and not out.exists()
        tally.check(f"fault {number} of {method}: {words}", seen, "" if seen else f"{code}: {(complaint or report)[:600]}")
    for command in (["inspect", made["IA3"]], ["validate", "--base", base, "--adapter", made["IA3"], "--golden", SOURCE / "golden/suites/demo"],
                    ["merge", "--base", base, "--adapter", made["IA3"], "--out", out, "--golden", SOURCE / "golden/suites/demo"]):
        code, _, complaint = run([binary, *command])
        tally.check(f"{command[0]} says what to do", code == 3 and "merge it first" in complaint and not out.exists(), complaint)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    fresh_folder(options.work)
    tally = Tally()
    for case in CASES:
        if not options.only or case.name in options.only:
            with boft_extension(case.extension):
                check_case(tally, options.binary, options.work, case)
    for name, check in (("sum", check_sum), ("faults", check_faults)):
        if not options.only or name in options.only:
            with boft_extension(True):
                check(tally, options.binary, options.work)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
