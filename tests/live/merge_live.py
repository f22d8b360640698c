#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `merge` with float64 truth and with PEFT: merge_live.py --binary LORAPROOF --work FOLDER

Tiny random models of several architectures, with adapters of several kinds. Every element of a merged weight must be the float64
value rounded once; where PEFT rounds once too (its default merge of a plain linear layer) it must be PEFT's. Everything an
adapter does not touch keeps its bytes. transformers must load the folder and give PEFT's logits.
"""
import argparse
import dataclasses
import json
import pathlib
import re
import sys
import warnings

from live_support import Tally, fresh_folder, generator, read_json, run, skip

try:
    import torch
    import transformers
    from peft import LoraConfig, PeftModel, get_peft_model
    from peft.utils import merge_utils
    from safetensors.torch import load_file
    from zoo_adapters import randomise
except ImportError as error:
    sys.exit(skip(f"skipped: {error}"))

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DIMENSIONS = {"vocab_size": 96, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = {**DIMENSIONS, "hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2}
MODELS = {
    "llama": (transformers.LlamaConfig, {**LLAMA, "tie_word_embeddings": False}),
    "llama-tied": (transformers.LlamaConfig, {**LLAMA, "tie_word_embeddings": True}),
    "mistral": (transformers.MistralConfig, {**LLAMA, "tie_word_embeddings": False}),
    "qwen2": (transformers.Qwen2Config, {**LLAMA, "tie_word_embeddings": False}),
    "gemma": (transformers.GemmaConfig, {**LLAMA, "head_dim": 12}),
    "gpt2": (transformers.GPT2Config, {**DIMENSIONS, "n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "phi3": (transformers.Phi3Config, {**LLAMA, "pad_token_id": 0, "tie_word_embeddings": False}),
    "mixtral": (transformers.MixtralConfig, {**LLAMA, "num_local_experts": 4, "tie_word_embeddings": False}),
    "granite-moe": (transformers.GraniteMoeConfig, {**LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2, "tie_word_embeddings": False}),
    "gpt-oss": (transformers.GptOssConfig, {**LLAMA, "head_dim": 12, "num_local_experts": 4, "num_experts_per_tok": 2,
                                            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}, "tie_word_embeddings": False}),
    "whisper": (transformers.WhisperConfig, {"vocab_size": 96, "d_model": 48, "encoder_layers": 1, "decoder_layers": 1, "num_mel_bins": 8,
                                             "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
                                             "decoder_ffn_dim": 64, "max_source_positions": 16, "max_target_positions": 32, "pad_token_id": 0,
                                             "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}),
    "vit": (transformers.ViTConfig, {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
                                     "image_size": 16, "patch_size": 4, "num_channels": 3}),
    "qwen3-moe": (transformers.Qwen3MoeConfig, {**LLAMA, "head_dim": 12, "moe_intermediate_size": 24, "num_experts": 4,
                                                "num_experts_per_tok": 2, "tie_word_embeddings": False}),
}


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    model: str
    settings: dict
    dtype: torch.dtype = torch.bfloat16
    flags: tuple = ()
    equals_peft: bool = True  # PEFT rounds once too
    tokens: int = 0  # the vocabulary is resized to this in training


ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LINEAR = "all-linear"
EXPERTS = ["experts.gate_up_proj", "experts.down_proj"]
F16, F32 = torch.float16, torch.float32
CASES = [
    Case("plain", "llama", {"target_modules": ATTENTION}),
    Case("linear", "llama", {"target_modules": LINEAR}),
    Case("linear-f16", "llama", {"target_modules": LINEAR}, F16),
    Case("linear-f32", "llama", {"target_modules": LINEAR}, F32, equals_peft=False),
    Case("to-f32", "llama", {"target_modules": LINEAR}, flags=("--dtype", "fp32"), equals_peft=False),
    Case("to-f16", "mistral", {"target_modules": LINEAR}, flags=("--dtype", "fp16"), equals_peft=False),
    Case("f32-to-bf16", "llama", {"target_modules": LINEAR}, F32, ("--dtype", "bf16"), equals_peft=False),
    Case("rank-3", "mistral", {"target_modules": LINEAR, "r": 3, "lora_alpha": 16}),
    Case("rank-1", "llama", {"target_modules": LINEAR, "r": 1, "lora_alpha": 5}),
    Case("rslora", "mistral", {"target_modules": LINEAR, "use_rslora": True, "r": 5}),
    Case("patterns", "llama", {"target_modules": LINEAR, "rank_pattern": {"q_proj": 2, "down_proj": 7}, "alpha_pattern": {"o_proj": 3}}),
    Case("dora", "llama", {"target_modules": LINEAR, "use_dora": True}, equals_peft=False),
    Case("dora-f32", "qwen2", {"target_modules": ATTENTION, "use_dora": True}, F32, equals_peft=False),
    Case("qwen2-bias-all", "qwen2", {"target_modules": ATTENTION, "bias": "all"}),
    Case("qwen2-bias-lora", "qwen2", {"target_modules": ["q_proj"], "bias": "lora_only"}),
    Case("lora-bias", "qwen2", {"target_modules": ["q_proj", "k_proj"], "lora_bias": True}, equals_peft=False),
    Case("gemma", "gemma", {"target_modules": LINEAR}),
    Case("gemma-head", "gemma", {"target_modules": ["q_proj", "lm_head"]}),
    Case("gpt2", "gpt2", {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}),
    Case("gpt2-embedding", "gpt2", {"target_modules": ["wte", "c_attn"], "fan_in_fan_out": True}, equals_peft=False),
    Case("gpt2-f32", "gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True}, F32, equals_peft=False),
    Case("phi3-fused", "phi3", {"target_modules": ["qkv_proj", "gate_up_proj", "o_proj"]}),
    Case("mixtral", "mixtral", {"target_modules": ATTENTION}),
    Case("qwen3-moe", "qwen3-moe", {"target_modules": ATTENTION}),
    Case("embedding", "llama", {"target_modules": ["embed_tokens", "q_proj"]}, equals_peft=False),
    Case("head", "llama", {"target_modules": ["lm_head", "down_proj"]}),
    Case("head-tied", "llama-tied", {"target_modules": ["lm_head", "down_proj"]}),
    Case("embedding-tied", "llama-tied", {"target_modules": ["embed_tokens", "v_proj"]}, equals_peft=False),
    Case("save-head", "llama", {"target_modules": ATTENTION, "modules_to_save": ["lm_head"]}),
    Case("save-norm", "llama", {"target_modules": ATTENTION, "modules_to_save": ["input_layernorm"]}),
    Case("save-embed-tied", "llama-tied", {"target_modules": ATTENTION, "modules_to_save": ["embed_tokens"]}),
    Case("mixtral-experts", "mixtral", {"target_modules": ["q_proj"], "target_parameters": EXPERTS}, equals_peft=False),
    Case("mixtral-down", "mixtral", {"target_modules": [], "target_parameters": EXPERTS[1:]}, equals_peft=False),
    Case("mixtral-gate", "mixtral", {"target_modules": ["v_proj"], "modules_to_save": ["mlp.gate"]}),
    Case("qwen3-moe-experts", "qwen3-moe", {"target_modules": ["q_proj"], "target_parameters": EXPERTS}, equals_peft=False),
    Case("qwen3-moe-f32", "qwen3-moe", {"target_modules": [], "target_parameters": EXPERTS[:1]}, F32, equals_peft=False),
    Case("granite-moe-stacked", "granite-moe", {"target_modules": [], "target_parameters": EXPERTS, "r": 3}, equals_peft=False),
    Case("gpt-oss-stacked", "gpt-oss", {"target_modules": ["q_proj"], "target_parameters": EXPERTS}, equals_peft=False),
    Case("dora-embedding", "llama", {"target_modules": ["embed_tokens", "q_proj"], "use_dora": True}, equals_peft=False),
    Case("dora-gpt2", "gpt2", {"target_modules": ["c_attn", "c_fc"], "use_dora": True, "fan_in_fan_out": True}, equals_peft=False),
    Case("tokens", "llama", {"target_modules": ATTENTION, "trainable_token_indices": [5, 3, 95]}),
    Case("tokens-tied", "llama-tied", {"target_modules": ["v_proj"], "trainable_token_indices": {"embed_tokens": [0, 7]}}),
    Case("resized", "llama", {"target_modules": ATTENTION}, tokens=101),
    Case("resized-tied", "llama-tied", {"target_modules": ["q_proj"]}, tokens=90),
    Case("conv1d", "whisper", {"target_modules": ["conv1", "conv2", "q_proj"], "task_type": None}),
    Case("conv2d-dora", "vit", {"target_modules": ["projection"], "use_dora": True, "task_type": None}, equals_peft=False),
    Case("pissa", "llama", {"target_modules": LINEAR, "init_lora_weights": "pissa"}, equals_peft=False),
    Case("pissa-gpt2", "gpt2", {"target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True, "init_lora_weights": "pissa", "r": 3}, F32, equals_peft=False),
    Case("pissa-rank", "llama", {"target_modules": ["q_proj"], "init_lora_weights": "pissa", "r": 40}, equals_peft=False),
    Case("half", "llama", {"target_modules": LINEAR}, flags=("--weight", "0.5"), equals_peft=False),
]


def auto_class(model):
    return {"whisper": transformers.AutoModelForSpeechSeq2Seq, "vit": transformers.AutoModel}.get(model, transformers.AutoModelForCausalLM)


def load(model, folder, dtype, tokens=0):
    loaded = auto_class(model).from_pretrained(folder, dtype=dtype)
    if tokens:
        loaded.resize_token_embeddings(tokens, mean_resizing=False)
    return loaded


def make_base(name, dtype, folder):
    config_class, settings = MODELS[name]
    config = config_class(**settings)
    torch.manual_seed(17)
    model = auto_class(name).from_config(config).to(dtype)
    with torch.no_grad():
        random = generator(name)
        for weight in model.parameters():
            weight.copy_((torch.randn(weight.shape, generator=random) * 0.08 + (1 if weight.dim() == 1 else 0)).to(dtype))
    model.save_pretrained(fresh_folder(folder))


def make_adapter(case, base, folder):
    model = load(case.model, base, torch.float32, case.tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(model, LoraConfig(**{"task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, **case.settings}))
        with torch.no_grad():
            randomise(model, generator(case.name))
        model.save_pretrained(fresh_folder(folder))


def scale_of(config, module):
    def pattern(patterns, default):
        for key, value in patterns.items():
            if re.match(rf"(.*\.)?({key})$", module):
                return value
        return default

    r = pattern(config["rank_pattern"], config["r"])
    alpha = pattern(config["alpha_pattern"], config["lora_alpha"])
    return alpha / r**0.5 if config["use_rslora"] else alpha / r


def expert_truth(base, module, key, a, b, config, transposed):
    """A parameter of stacked experts, whose tensors lie in one of three ways."""
    names = [name for name in ("gate_up_proj", "down_proj") if any(t.endswith(name) for t in config["target_parameters"])]
    depth = module.count(".base_layer")
    name, owner = names[len(names) - 1 - depth], module.replace(".base_layer", "")
    stacks = [n for n in base if n == f"{owner}.{name}" or n == owner.replace(".experts", {"gate_up_proj": ".input_linear.weight", "down_proj": ".output_linear.weight"}[name])]
    block = owner if any(n.startswith(owner) for n in base) else owner.replace(".mlp.", ".block_sparse_moe.")
    parts = {"gate_up_proj": (("gate_proj", "up_proj"), ("w1", "w3")), "down_proj": (("down_proj",), ("w2",))}[name]
    count = base[stacks[0]].shape[0] if stacks else sum(bool(re.fullmatch(rf"{re.escape(block)}\.\d+\.{parts[0][0]}\.weight|{re.escape(block)}\.\d+\.{parts[1][0]}\.weight", n)) for n in base)
    a = a.double().reshape(count, -1, a.shape[-1])
    b = b.double().reshape(b.shape[0], -1, count)
    delta = torch.einsum("ore,eri->eoi", b, a) * scale_of(config, f"{owner}.{name}")
    if stacks:
        return {stacks[0]: base[stacks[0]].double() + (delta.transpose(1, 2) if transposed else delta)}
    used = parts[0] if f"{block}.0.{parts[0][0]}.weight" in base else parts[1]
    return {f"{block}.{e}.{part}.weight": base[f"{block}.{e}.{part}.weight"].double() + piece
            for e in range(count) for part, piece in zip(used, delta[e].chunk(len(used)), strict=True)}


def truth_of(base, adapter, config, model, factor):
    """Float64 value of every tensor that the adapter changes, by its stored name."""
    prefix = "base_model.model."
    conv1d = model == "gpt2"
    renamed = lambda path: path.replace(".mlp.", ".block_sparse_moe.") if model == "mixtral" else path
    stored = lambda path: next(name for name in (path, renamed(path), path.removeprefix("transformer.")) if f"{name}.weight" in base or name == "lm_head")
    truth = {}
    for key, value in adapter.items():
        path = key.removeprefix(prefix)
        for suffix, is_embedding in ((".lora_A.weight", False), (".lora_embedding_A", True)):
            if not path.endswith(suffix):
                continue
            module = path.removesuffix(suffix)
            if ".experts" in module:
                truth |= expert_truth(base, module, key, value, adapter[key.replace("lora_A", "lora_B")], config, model == "gpt-oss")
                continue
            name = stored(module)
            b = adapter[key.replace("lora_embedding_A", "lora_embedding_B").replace("lora_A", "lora_B")]
            delta = b.double().flatten(1) @ value.double().flatten(1) * (scale_of(config, module) * factor)
            delta = delta.reshape(-1, *value.shape[1:])
            if is_embedding or (conv1d and name != "lm_head"):
                delta = delta.T
            weight = adapter.get(f"{prefix}{module}.base_layer.weight", base.get(f"{name}.weight", next((base[n] for n in base if n.endswith(("embed_tokens.weight", "wte.weight"))), None)))
            merged = weight.double() + delta
            if config["init_lora_weights"] == "pissa":  # what is left of the base is what the adapter stands beside
                u, s, vh = torch.linalg.svd(weight.double(), full_matrices=False)
                r = value.shape[0]
                merged = merged - u[:, :r] * s[:r] @ vh[:r]
            magnitude = adapter.get(f"{prefix}{module}.lora_magnitude_vector")
            if magnitude is not None and (is_embedding or conv1d):
                merged = merged * (magnitude.double() / merged.norm(dim=0))
            elif magnitude is not None:
                merged = merged * (magnitude.double().flatten() / merged.flatten(1).norm(dim=1)).reshape(-1, *[1] * (merged.dim() - 1))
            truth[f"{name}.weight"] = merged
            bias = adapter.get(key.replace("lora_A.weight", "lora_B.bias"))
            if key.endswith("lora_A.weight") and bias is not None:
                truth[f"{name}.bias"] = base[f"{name}.bias"].double() + bias.double() * scale_of(config, module)
        if path.endswith(".token_adapter.trainable_tokens_delta"):
            name, tokens = stored(path.removesuffix(".token_adapter.trainable_tokens_delta")), config["trainable_token_indices"]
            truth[f"{name}.weight"] = base[f"{name}.weight"].double().index_copy(
                0, torch.tensor(tokens["embed_tokens"] if isinstance(tokens, dict) else tokens), value.double())
        if path.endswith((".weight", ".bias")) and ".lora_" not in path:
            part = path.rsplit(".", 1)[1]
            truth[f"{stored(path.rsplit('.', 1)[0].removesuffix('.base_layer'))}.{part}"] = value.double()
    return truth


def tensors_of(folder):
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def peft_merge(base, adapter, dtype, model="", tokens=0):
    model = load(model, base, dtype, tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(model, adapter).merge_and_unload()


def logits_of(model, ids):
    with torch.no_grad():
        return model.float()(ids).logits


def misrounded(truth, after):
    """How many 16-bit elements are not the float64 value rounded once, and the largest error of 32-bit ones in units of the last place."""
    wrong = worst = 0
    for name, value in truth.items():
        expected = value.to(after[name].dtype)
        if after[name].dtype == torch.float32:
            step = torch.nextafter(expected.abs(), torch.tensor(torch.inf)) - expected.abs()
            worst = max(worst, ((after[name].double() - value).abs() / step).max().item())
        else:
            # float64 -> 16 bit in torch goes through float32: round to odd first, so that one rounding is left.
            single = value.to(torch.float32)
            odd = single.view(torch.int32) - (single.double().abs() > value.abs()).int()
            odd = torch.where(single.double() == value, single.view(torch.int32), odd | 1).view(torch.float32)
            wrong += (after[name] != odd.to(after[name].dtype)).sum().item()
    return wrong, worst


def combined_factors(how, tensors, weights, flags):
    density, sign = flags.get("--density", 1.0), flags.get("--majority-sign", "total")
    weights = torch.tensor(weights, dtype=torch.float64)
    if how == "linear":
        return merge_utils.task_arithmetic(tensors, weights)
    if how == "magnitude_prune":
        return merge_utils.magnitude_prune(tensors, weights, density)
    if how == "dare_linear":
        return merge_utils.dare_linear(tensors, weights, density)
    return (merge_utils.ties if how == "ties" else merge_utils.dare_ties)(tensors, weights, density, sign)


def check_combination(tally, binary, work, how, flags, ranks=(4, 4)):
    """Two adapters as one, by PEFT's own functions in float64; and near what PEFT makes of them in float32."""
    name, weights = " ".join(["combine", how, *map(str, flags.values())]), {"one": 0.7, "two": -0.4}
    base, out = work / "base" / "llama-bfloat16", work / "out" / "combined"
    if not base.exists():
        make_base("llama", torch.bfloat16, base)
    folders = {}
    for adapter, rank in zip(weights, ranks, strict=True):
        folders[adapter] = work / "adapters" / f"{adapter}-{rank}"
        make_adapter(Case(adapter, "llama", {"target_modules": ATTENTION + ["embed_tokens"], "r": rank, "lora_alpha": 6}), base, folders[adapter])
    options = [str(part) for item in {"--combine": how, **flags}.items() for part in item]
    code, report, complaint = run([binary, "merge", "--base", base, "--out", out, "--force", "--quiet", *options,
                                   *[part for a, f in folders.items() for part in ("--adapter", f"{a}={f}", "--weight", f"{a}={weights[a]}")]])
    if not tally.check(f"{name}: merged", code == 0, complaint or ("" if code == 0 else report[-1500:])):
        return
    before, after = tensors_of(base), tensors_of(out)
    files = {a: load_file(f / "adapter_model.safetensors") for a, f in folders.items()}
    scales = {a: weights[a] * 6 / rank for a, rank in zip(weights, ranks, strict=True)}
    truth = {}
    for key in files["one"]:
        for half_a, half_b, turned in ((".lora_A.weight", ".lora_B.weight", False), (".lora_embedding_A", ".lora_embedding_B", True)):
            if not key.endswith(half_a):
                continue
            a = [files[n][key].double() for n in weights]
            b = [files[n][key.replace(half_a, half_b)].double() for n in weights]
            if how in ("cat", "svd"):
                delta = sum(s * (y @ x) for s, y, x in zip(scales.values(), b, a, strict=True))
                if how == "svd":
                    rank = flags.get("--svd-rank", max(ranks))
                    u, s, vh = torch.linalg.svd(delta, full_matrices=False)
                    delta = u[:, :rank] * s[:rank] @ vh[:rank]
            else:
                roots = [abs(s) ** 0.5 for s in scales.values()]
                signed = [r if s >= 0 else -r for r, s in zip(roots, scales.values(), strict=True)]
                delta = combined_factors(how, b, roots, flags) @ combined_factors(how, a, signed, flags)
            stored = key.removeprefix("base_model.model.").removesuffix(half_a) + ".weight"
            truth[stored] = before[stored].double() + (delta.T if turned else delta)
    wrong, _ = misrounded(truth, after)
    tally.check(f"{name}: float64 rounded once", wrong == 0, f"{len(truth)} tensors, {wrong} wrong")
    if ranks[0] != ranks[1] and how not in ("cat", "svd"):
        return
    model = PeftModel.from_pretrained(load("llama", base, torch.float32), folders["one"], adapter_name="one")
    model.load_adapter(folders["two"], adapter_name="two")
    density = {"density": flags.get("--density", 1.0), "majority_sign_method": flags.get("--majority-sign", "total")} if how not in ("cat", "svd", "linear") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.add_weighted_adapter(list(weights), list(weights.values()), "both", combination_type=how, svd_rank=flags.get("--svd-rank"), **density)
    model.set_adapter("both")
    state = model.merge_and_unload().state_dict()
    worst = max((state[n] - value).abs().max().item() for n, value in truth.items())
    tally.check(f"{name}: PEFT's in float32", worst < 1e-5, f"{worst:.1e}")


COMBINATIONS = [("cat", {}, (4, 3)), ("linear", {}), ("ties", {"--density": 0.5}), ("ties", {"--density": 0.3, "--majority-sign": "frequency"}),
                ("magnitude_prune", {"--density": 0.6}), ("dare_linear", {"--density": 1.0}), ("dare_ties", {"--density": 1.0}),
                ("svd", {}), ("svd", {"--svd-rank": 2}, (4, 3))]


def check_case(tally, binary, work, case):
    base, adapter, out = work / "base" / f"{case.model}-{case.dtype}".replace("torch.", ""), work / "adapters" / case.name, work / "out" / case.name
    if not base.exists():
        make_base(case.model, case.dtype, base)
    make_adapter(case, base, adapter)
    fresh_folder(out).rmdir()
    code, report, complaint = run([binary, "merge", "--base", base, "--adapter", adapter, "--out", out, "--quiet", *case.flags])
    if not tally.check(f"{case.name}: merged", code == 0, complaint or ("" if code == 0 else report[-1500:])):
        return
    before, after, config = tensors_of(base), tensors_of(out), read_json(adapter / "adapter_config.json")
    factor = 0.5 if case.name == "half" else 1
    truth = truth_of(before, load_file(adapter / "adapter_model.safetensors"), config, case.model, factor)
    if "lm_head.weight" in truth and "lm_head.weight" not in after:  # one tensor may stand for both while they are equal
        tally.check(f"{case.name}: head and embedding are one", torch.equal(truth.pop("lm_head.weight"), truth["model.embed_tokens.weight"]))
    wrong, worst = misrounded(truth, after)
    tally.check(f"{case.name}: float64 rounded once", wrong == 0 and worst <= 0.5 + 1e-6, f"{len(truth)} tensors, {wrong} wrong, worst {worst:.3f} ulp")
    kept = [name for name in before if name not in truth]
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(case.flags[1] if "--dtype" in case.flags else "")
    same = all(torch.equal(before[name].to(dtype) if dtype else before[name], after[name]) for name in kept)
    extra = set(after) - set(before) - set(truth)
    tally.check(f"{case.name}: the rest is the base's", same and not extra - {"lm_head.weight"}, f"{len(kept)} tensors {extra or ''}")
    if extra:
        tied = next(before[n] for n in before if n.endswith(("embed_tokens.weight", "wte.weight")))
        tally.check(f"{case.name}: the head keeps what it was", torch.equal(after["lm_head.weight"], tied))
    ours = load(case.model, out, "auto")
    if case.tokens:
        tally.check(f"{case.name}: the vocabulary has grown", ours.config.vocab_size == case.tokens)
    is_text = auto_class(case.model) is transformers.AutoModelForCausalLM
    ids = torch.randint(3, 90, (2, 12), generator=generator(case.name))
    touches_tied = "lm_head.weight" in after and "lm_head.weight" not in before  # PEFT then changes both
    if case.equals_peft and not touches_tied:
        theirs = peft_merge(base, adapter, case.dtype, case.model, case.tokens)
        # PEFT sums in float32: where the exact sum is a tie as far as that can tell, it may fall on the other side.
        state, differing, beyond = theirs.state_dict(), 0, 0
        for name, value in ours.state_dict().items():
            where = value != state[name]
            if where.any():
                stored = next((n for n in (name, name.removeprefix("transformer.")) if n in truth), None)
                middle = (value.double() + state[name].double())[where] / 2
                differing += where.sum().item()
                beyond += (stored is None or ((middle - truth[stored][where]).abs() > 1e-7).sum().item())
        tally.check(f"{case.name}: equals PEFT's merge", not beyond and differing <= 20, f"{differing} elements are float32 ties")
        tally.check(f"{case.name}: generates the same", not is_text or torch.equal(
            ours.generate(ids, max_new_tokens=8, do_sample=False), theirs.generate(ids, max_new_tokens=8, do_sample=False)))
    if factor == 1 and is_text:
        model = load(case.model, base, torch.float32, case.tokens)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            unmerged = logits_of(PeftModel.from_pretrained(model, adapter), ids)
        plain = logits_of(load(case.model, base, torch.float32, case.tokens), ids)
        effect, error = (unmerged - plain).abs().max(), (logits_of(ours, ids) - unmerged).abs().max()
        tally.check(f"{case.name}: answers like the unmerged adapter", error < 0.1 * effect, f"{error:.2g} of {effect:.2g}")


def check_base_scheme(tally, binary, work):
    """QLoRA: onto what bitsandbytes makes of the base, in 16 bit; what it leaves alone stays."""
    try:
        from quant_bitsandbytes import four_bit
    except ImportError as error:
        print(f"without --base-scheme: {error}")
        return
    case = Case("base-scheme", "llama", {"target_modules": LINEAR})
    base, adapter, out = work / "base/llama-bfloat16", work / "adapters" / case.name, work / "out" / case.name
    if not base.exists():
        make_base(case.model, case.dtype, base)
    make_adapter(case, base, adapter)
    code, report, complaint = run([binary, "merge", "--base", base, "--adapter", adapter, "--out", out, "--base-scheme", "nf4", "--quiet"])
    if not tally.check("base-scheme: merged", code == 0, complaint or report[-1500:]):
        return
    before, after, config = tensors_of(base), tensors_of(out), read_json(adapter / "adapter_config.json")
    trained_on = {}
    for name, weight in before.items():
        is_linear = weight.dim() == 2 and "embed_tokens" not in name and "lm_head" not in name
        trained_on[name] = four_bit("nf4")(weight.contiguous())["values"] if is_linear else weight
    truth = truth_of(trained_on, load_file(adapter / "adapter_model.safetensors"), config, case.model, 1)
    wrong, _ = misrounded(truth, after)
    tally.check("base-scheme: float64 on the dequantised base, rounded once", wrong == 0, f"{len(truth)} tensors, {wrong} wrong")
    moved = sum((trained_on[name] != before[name]).any().item() for name in truth)
    kept = [name for name in before if name not in truth]
    tally.check("base-scheme: the rest is what was trained on", moved > 0 and all(torch.equal(trained_on[name], after[name]) for name in kept), f"{len(kept)} tensors")


def check_real_model(tally, binary, work, base, adapter):
    """A trained adapter on a real model: the same text as PEFT's merge."""
    out = work / "real"
    code, report, complaint = run([binary, "merge", "--base", base, "--adapter", adapter, "--out", out, "--format", "json"])
    if not tally.check("real model: merged", code == 0, complaint if code else ""):
        return
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    ours = transformers.AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    theirs = peft_merge(base, adapter, ours.dtype)
    differing = total = 0
    for (name, value), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        differing += (value != other).sum().item()
        total += value.numel()
    tally.check("real model: equals PEFT's merge but for float32 ties", differing < 1e-4 * total, f"{differing} of {total} elements")
    for line in (SOURCE / "golden/suites/smollm2/prompts.jsonl").read_text().splitlines()[:4]:
        prompt = json.loads(line)
        ids = tokenizer.apply_chat_template(prompt["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True)["input_ids"]
        texts = [tokenizer.decode(model.float().generate(ids, max_new_tokens=16, do_sample=False)[0][ids.shape[1]:]) for model in (ours, theirs)]
        tally.check(f"real model: same text for {prompt['id']}", texts[0] == texts[1], texts[0][:60])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--real", nargs=2, type=pathlib.Path, metavar=("BASE", "ADAPTER"))
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    fresh_folder(options.work)
    tally = Tally()
    if options.real:
        check_real_model(tally, options.binary, options.work, *options.real)
        return tally.finish()
    for case in CASES:
        if not options.only or case.name in options.only:
            check_case(tally, options.binary, options.work, case)
    if not options.only or "base-scheme" in options.only:
        check_base_scheme(tally, options.binary, options.work)
    for combination in COMBINATIONS:
        if not options.only or "combine" in options.only:
            check_combination(tally, options.binary, options.work, *combination)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
