#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the small tokenizer.json files of tests/fixtures/tokenizers, one for each kind of pipeline.

Needs: tokenizers. Run: python3 tests/oracles/tokenizer_fixtures.py, then tokenizer_golden.py.
"""

import json
import pathlib

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import tokenizer_texts

OUT = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "tokenizers"
G = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LEAD = r"[^\r\n\p{L}\p{N}]?"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
L3 = CONTRACTIONS + "|" + LEAD + r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
Q = CONTRACTIONS + "|" + LEAD + r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
O = (f"{LEAD}{UPPER}*{LOWER}+{CONTRACTIONS}?|{LEAD}{UPPER}+{LOWER}*{CONTRACTIONS}?"
     r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES)
T = f"{LEAD}{UPPER}*{LOWER}+|{LEAD}{UPPER}+{LOWER}*" + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES
D = [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
     "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
     "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BYTES_ONLY = BYTE_LEVEL | {"use_regex": False}


def corpus():
    lines = (tokenizer_texts.PROSE + tokenizer_texts.CODE).splitlines(keepends=True)
    short = [t for t in tokenizer_texts.FIXED if 8 < len(t) < 80]
    return lines * 4 + short * 2 + ["한국어 일본어 中文 漢字 カタカナ été où naïve"] * 3


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def template(before=(), after=(), ids=None):
    special = [{"SpecialToken": {"id": t, "type_id": 0}} for t in before]
    tail = [{"SpecialToken": {"id": t, "type_id": 0}} for t in after]
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {"type": "TemplateProcessing", "single": special + [text] + tail,
            "pair": special + [text, {"Sequence": {"id": "B", "type_id": 1}}] + tail,
            "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in (*before, *after)}}


def token(content, **options):
    return {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": False} | options


def byte_level_model(size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    return json.loads(tokenizer.to_str())["model"]


def space_mark_model(size, across=False):
    """Like a converted SentencePiece model: <unk>, <s>, </s>, 256 bytes, pieces; every split of a piece is a merge."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    if not across:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁[^▁]*"), "isolated")
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    pieces = [p for p in pieces if len(p) > 1 or ord(p) < 0x3000][: size - 40]  # some characters must be unknown
    vocab = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])}
    for piece in pieces:
        vocab.setdefault(piece, len(vocab))
    merges = [[p[:cut], p[cut:]] for p in pieces for cut in range(1, len(p)) if p[:cut] in vocab and p[cut:] in vocab]
    merges.sort(key=lambda m: vocab[m[0] + m[1]])
    return model | {"vocab": vocab, "merges": merges, "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}


def space_mark_decoder(strip):
    steps = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    return {"type": "Sequence", "decoders": steps + ([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if strip else [])}


def write(name, model, added=(), legacy_merges=False, **parts):
    if legacy_merges:
        model = model | {"merges": [" ".join(m) for m in model["merges"]]}
    file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added), "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None} | parts | {"model": model}
    text = json.dumps(file, ensure_ascii=False, separators=(",", ":")) + "\n"
    fixed = json.loads(text)
    loaded = Tokenizer.from_str(text)  # the ids that tokenizers gives them are written back
    for entry in fixed["added_tokens"]:
        entry["id"] = loaded.token_to_id(entry["content"])
    text = json.dumps(fixed, ensure_ascii=False, separators=(",", ":")) + "\n"
    assert len(text.encode()) < 100_000, (name, len(text.encode()))
    (OUT / f"{name}.json").write_text(text, encoding="utf-8")


def byte_level_fixtures():
    model = byte_level_model(700)
    end = [token("<|endoftext|>", special=True)]
    chat = end + [token("<|im_start|>", special=True), token("<|im_end|>", special=True)]
    one = {"post_processor": BYTE_LEVEL, "decoder": BYTE_LEVEL}
    bos = len(model["vocab"])
    write("gpt2", model, end, legacy_merges=True, pre_tokenizer=BYTE_LEVEL, **one)
    write("smollm2", model, chat, pre_tokenizer=sequence({"type": "Digits", "individual_digits": True}, BYTE_LEVEL), **one)
    whole = model | {"ignore_merges": True, "vocab": model["vocab"] | {"Ġunreachable": bos, "ĠHello": bos + 1, "漢": bos + 2}}
    write("llama3", whole, [token("<|begin_of_text|>", special=True)] + chat,
          pre_tokenizer=sequence(split(L3), BYTES_ONLY), decoder=BYTE_LEVEL,
          post_processor={"type": "Sequence", "processors": [BYTE_LEVEL, template(["<|begin_of_text|>"], ids={"<|begin_of_text|>": bos + 3})]})
    write("qwen2", model, chat + [token("<tool_call>"), token("cafe\u0301", normalized=True), token("<x>", normalized=True, special=True)],
          normalizer={"type": "NFC"}, pre_tokenizer=sequence(split(Q), BYTES_ONLY), **one)
    write("tekken", model | {"ignore_merges": True}, [token("<s>", special=True)], pre_tokenizer=sequence(split(T), BYTES_ONLY),
          post_processor=template(["<s>"], ids={"<s>": bos}), decoder=BYTE_LEVEL)
    write("o200k", model, end, pre_tokenizer=sequence(split(O, "Removed", True), BYTES_ONLY), decoder=BYTE_LEVEL)
    write("neox", model, end + [token(" " * n, normalized=True) for n in (3, 5, 9)] + [token("ü"), token("\u212b\u0301b", normalized=True)],
          normalizer={"type": "NFC"}, pre_tokenizer=BYTE_LEVEL | {"add_prefix_space": True}, **one)
    write("deepseek", model, chat + [token("<｜fim▁hole｜>", normalized=True)], normalizer={"type": "Sequence", "normalizers": []},
          pre_tokenizer=sequence(*map(split, D), BYTES_ONLY), **one)
    write("falcon", model, end, pre_tokenizer=sequence({"type": "Punctuation", "behavior": "Contiguous"}, BYTE_LEVEL,
          {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")), **one)
    write("command_r", model, [token("<BOS>", special=True), token("<EOS>", special=True)], normalizer={"type": "NFC"},
          pre_tokenizer=sequence({"type": "Digits", "individual_digits": True}, BYTE_LEVEL),
          post_processor=template(["<BOS>"], ["<EOS>", "<EOS>"], {"<BOS>": bos, "<EOS>": bos + 1}), decoder=BYTE_LEVEL)
    few = {t: i for i, t in enumerate(t for t in model["vocab"] if t not in "Ġzé")}
    merges = [m for m in model["merges"] if all(t in few for t in (*m, m[0] + m[1]))]
    write("missing_bytes", model | {"vocab": few, "merges": merges}, end, pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL)
    write("missing_bytes_unk", model | {"vocab": few | {"<unk>": len(few)}, "merges": merges, "unk_token": "<unk>"}, end,
          pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL)


def space_mark_fixtures():
    model = space_mark_model(700)
    control = [token("<unk>", special=True), token("<s>", special=True), token("</s>", special=True)]
    odd = [token("<|rstrip|>", rstrip=True, special=True), token("<lstrip>", lstrip=True), token("<both>", lstrip=True, rstrip=True),
           token("word", single_word=True), token("<word norm>", single_word=True, normalized=True), token("\n", rstrip=True),
           token("<norm>", normalized=True)]
    bos = template(["<s>"], ids={"<s>": 1})
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    write("llama2", model, control, normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]},
          post_processor=bos, decoder=space_mark_decoder(True), legacy_merges=True)
    write("phi3_odd_tokens", model, control + odd, normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]},
          post_processor=bos, decoder=space_mark_decoder(True))
    across = space_mark_model(700, across=True)
    assert any("▁" in t.lstrip("▁") for t in across["vocab"])
    write("yi_across_spaces", across, control, normalizer={"type": "Sequence", "normalizers": [replace]}, decoder=space_mark_decoder(False))
    write("gemma", model, control, normalizer=replace, post_processor=bos, decoder=space_mark_decoder(False),
          pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False})
    first = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    write("mistral_v3", model, control + [token("[INST]", special=True)], pre_tokenizer=first, post_processor=bos, decoder=space_mark_decoder(True))
    # Only some byte tokens and separate unknowns: a waiting unknown comes out after the bytes that follow it.
    kept = {t: i for i, t in enumerate(t for t in model["vocab"] if not (len(t) == 6 and t.startswith("<0x") and t[3] in "EF"))}
    some = model | {"vocab": kept, "fuse_unk": False}
    always = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    write("metaspace_unk", some, control + odd[:3], pre_tokenizer=always, decoder=always)
    write("metaspace_fused", some | {"fuse_unk": True}, control, pre_tokenizer=always | {"prepend_scheme": "never"},
          decoder=always | {"prepend_scheme": "never"})
    write("no_decoder", some | {"unk_token": None}, control,
          pre_tokenizer=sequence({"type": "Split", "pattern": {"String": "e"}, "behavior": "MergedWithNext", "invert": True},
                                 {"type": "Split", "pattern": {"String": " t"}, "behavior": "Contiguous", "invert": False},
                                 {"type": "Punctuation", "behavior": "MergedWithPrevious"}, split(G, "Removed", True)))


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    byte_level_fixtures()
    space_mark_fixtures()
