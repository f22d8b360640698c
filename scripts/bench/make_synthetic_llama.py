#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a Llama of random weights, LoRA adapters for it and a golden suite: the inputs of scripts/bench/streaming.

    make_synthetic_llama.py --out DIR [--layers 24] [--prompts 40] [--tokens 16] [--answer-tokens 4] [--adapters 1]
                            [--rank 8]

DIR gets base/ (BF16, sharded; 24 layers: 1.33 billion parameters, 2.7 GB), adapter0/, adapter1/, ... (PEFT, all linear
layers) and suite/ (prompts as token ids, so no tokenizer is needed). Scales are those of initialised models:
standard deviation 0.02, norms 1. Seeded: the same options give the same bytes.
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file

HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 2048, 5632, 16, 8, 128, 49152
LINEAR = {
    "self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN),
    "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
    "mlp.gate_proj": (FFN, HIDDEN),
    "mlp.up_proj": (FFN, HIDDEN),
    "mlp.down_proj": (HIDDEN, FFN),
}
LAYERS_PER_SHARD = 4


def config(layers):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "vocab_size": VOCAB,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.0",
    }


def shards(layers, random):
    """Yields the tensors of one shard after the other."""
    yield {"model.embed_tokens.weight": random(VOCAB, HIDDEN)}
    for begin in range(0, layers, LAYERS_PER_SHARD):
        tensors = {}
        for layer in range(begin, min(begin + LAYERS_PER_SHARD, layers)):
            prefix = f"model.layers.{layer}."
            for name, shape in LINEAR.items():
                tensors[f"{prefix}{name}.weight"] = random(*shape)
            for norm in ("input_layernorm", "post_attention_layernorm"):
                tensors[f"{prefix}{norm}.weight"] = torch.ones(HIDDEN, dtype=torch.bfloat16)
        yield tensors
    yield {"model.norm.weight": torch.ones(HIDDEN, dtype=torch.bfloat16), "lm_head.weight": random(VOCAB, HIDDEN)}


def write_base(folder, layers):
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return (torch.randn(*shape, generator=generator, dtype=torch.float32) * 0.02).to(torch.bfloat16)

    count = 2 + (layers + LAYERS_PER_SHARD - 1) // LAYERS_PER_SHARD
    weight_map, total = {}, 0
    for i, tensors in enumerate(shards(layers, random)):
        name = f"model-{i + 1:05}-of-{count:05}.safetensors"
        save_file(tensors, folder / name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(tensors, name))
        total += sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    (folder / "config.json").write_text(json.dumps(config(layers), indent=1))


def write_adapter(folder, layers, seed, rank):
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(layers):
        for name, (out, into) in LINEAR.items():
            prefix = f"base_model.model.model.layers.{layer}.{name}"
            tensors[f"{prefix}.lora_A.weight"] = torch.randn(rank, into, generator=generator) * into**-0.5
            tensors[f"{prefix}.lora_B.weight"] = torch.randn(out, rank, generator=generator) * 0.005
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    fields = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "synthetic",
        "r": rank,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(name.split(".")[-1] for name in LINEAR),
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(fields, indent=1))


def write_suite(folder, prompts, tokens, answer_tokens):
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(2)
    with open(folder / "prompts.jsonl", "w") as file:
        for i in range(prompts):
            ids = torch.randint(3, VOCAB, (tokens,), generator=generator).tolist()
            print(json.dumps({"id": f"random-{i:03}", "ids": ids}), file=file)
    (folder / "suite.yaml").write_text(
        f"version: 1\nname: synthetic\nprompts: prompts.jsonl\nmax_new_tokens: {answer_tokens}\n"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--answer-tokens", type=int, default=4)
    parser.add_argument("--adapters", type=int, default=1)
    parser.add_argument("--rank", type=int, default=8, help="another than 8 makes adapter-rN instead")
    options = parser.parse_args()
    if not (options.out / "base").exists():
        write_base(options.out / "base", options.layers)
    for i in range(options.adapters):
        folder = options.out / (f"adapter{i}" if options.rank == 8 else f"adapter-r{options.rank}")
        if not folder.exists():
            write_adapter(folder, options.layers, 100 + i, options.rank)
    if not (options.out / "suite").exists():
        write_suite(options.out / "suite", options.prompts, options.tokens, options.answer_tokens)


main()
