#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Copies of a model folder that mean the same: another spelling, other shards, other places."""

import os
import shutil

from live_support import read_json, write_json
from transformers import AutoModelForCausalLM

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOT_IN_VERSION_4 = ("rope_parameters", "dtype", "layer_types")


def spell_as_version_4(config):
    """The config.json that transformers 4.4x would have written for this one."""
    old = {key: value for key, value in config.items() if key not in NOT_IN_VERSION_4}
    parameters = dict(config["rope_parameters"])
    old["rope_theta"] = parameters.pop("rope_theta")
    kind = parameters.pop("rope_type")
    old["rope_scaling"] = None
    if kind == "llama3":
        old["rope_scaling"] = {**parameters, "rope_type": kind}
    elif kind != "default":
        old["rope_scaling"] = {"type": kind, **parameters}
    old["torch_dtype"] = config["dtype"]
    old["transformers_version"] = "4.44.2"
    # Version 4.44 wrote these for Llama and knew no explicit head size there.
    if old["model_type"] == "llama":
        old["pretraining_tp"] = 1
        old["rope_interleaved"] = False
        if old.get("head_dim") == old["hidden_size"] // old["num_attention_heads"]:
            del old["head_dim"]
    return old


def config4(source, target):
    shutil.copytree(source, target, dirs_exist_ok=True)
    write_json(target / "config.json", spell_as_version_4(read_json(source / "config.json")))
    return target


def sharded(source, target, shard_size="60KB"):
    model = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
    model.save_pretrained(target, max_shard_size=shard_size)
    for path in source.iterdir():
        if path.name.startswith(("tokenizer", "chat_template", "special_tokens")):
            shutil.copy(path, target)
    assert (target / "model.safetensors.index.json").exists(), "the model is too small to shard"
    return target


def cache(source, target):
    """The hub's cache layout below `target`; returns the snapshot, whose files are links to blobs."""
    repository = target / "models--loraproof--zoo"
    snapshot = repository / "snapshots" / COMMIT
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT, encoding="ascii")
    for number, path in enumerate(sorted(source.iterdir())):
        blob = repository / "blobs" / f"{number:040x}"
        shutil.copy(path, blob)
        os.symlink(f"../../blobs/{blob.name}", snapshot / path.name)
    return snapshot


LAYOUTS = {"config4": config4, "sharded": sharded, "cache": cache}
