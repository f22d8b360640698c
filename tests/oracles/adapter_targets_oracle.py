#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes golden/values/adapter_targets.json: which module names PEFT's own matching functions hit for
many LoRA configurations, and which rank or alpha pattern key wins for each name.

Run from the repository root with peft 0.21.2:
    python3 tests/oracles/adapter_targets_oracle.py
"""

import json
import re
import warnings
from pathlib import Path

import peft
from peft import LoraConfig
from peft.tuners.tuners_utils import _ExcludedModule, check_target_module_exists
from peft.utils.other import get_pattern_key

warnings.filterwarnings("ignore")
VALUES = Path(__file__).resolve().parents[2] / "golden" / "values" / "adapter_targets.json"

PROJECTIONS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
               "mlp.up_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm"]
NAMES = (["model.embed_tokens", "model.norm", "lm_head"]
         + [f"model.layers.{i}.{p}" for i in (0, 1, 2, 10, 11) for p in PROJECTIONS]
         + ["model.layers.1.experts.0.w1", "model.layers.2.experts.1.w1", "model.vision.blocks.1.q_proj", "q_proj",
            "model.layers.1.my_q_proj", "layers.1.mlp.up_proj", "model.h.3.attn.c_attn", "model.größe.1.q_proj",
            "model.layers.1.self_attn.Q_PROJ", "model.layers.1.a-b+c.q", "transformer.layers.01.q_proj"])

CONFIGS = [
    dict(target_modules=["q_proj"]),
    dict(target_modules=["q_proj", "v_proj", "lm_head"]),
    dict(target_modules=["proj"]),
    dict(target_modules=["self_attn.q_proj"]),
    dict(target_modules=["attn.q_proj"]),
    dict(target_modules=["1.self_attn.q_proj", "11.mlp.up_proj"]),
    dict(target_modules=["model.layers.1.self_attn.q_proj"]),
    dict(target_modules=["norm"]),
    dict(target_modules=[".q_proj"]),
    dict(target_modules=["q.proj"]),
    dict(target_modules=[""]),
    dict(target_modules=[]),
    dict(target_modules=["größe.1.q_proj"]),
    dict(target_modules=["a-b+c.q"]),
    dict(target_modules=r".*q_proj"),
    dict(target_modules=r"q_proj"),
    dict(target_modules=r".*\.(q|v)_proj"),
    dict(target_modules=r"model\.layers\.(0|10)\..*_proj"),
    dict(target_modules=r".*layers\.\d\..*proj"),
    dict(target_modules=r".*layers\.\d+\.mlp\.(gate|up|down)_proj$"),
    dict(target_modules=r"^model.*o_proj"),
    dict(target_modules=r"(?i).*q_proj"),
    dict(target_modules=r".*(?i:Q_proj)"),
    dict(target_modules=r".*(?<!my_)q_proj"),
    dict(target_modules=r".*(?<=self_attn\.)q_proj"),
    dict(target_modules=r"(?!.*mlp).*_proj"),
    dict(target_modules=r"(?=.*layers\.1\.)(?:.*)\.up_proj"),
    dict(target_modules=r"model\.layers\.(?P<n>\d)(?P=n)?\..*_proj"),
    dict(target_modules=r"model\.layers\.(\d)\1\..*_proj"),
    dict(target_modules=r"q_proj|.*v_proj"),
    dict(target_modules=r"model|model\.norm"),
    dict(target_modules=r"a|ab|.*up_proj"),
    dict(target_modules=r".*?\.w1"),
    dict(target_modules=r"(?>model\.layers\.\d+)\.mlp\..*"),
    dict(target_modules=r"model\.layers\.\d++\.mlp\..*"),
    dict(target_modules=r".*\.[a-z_]+proj\Z"),
    dict(target_modules=r"\Amodel\.norm"),
    dict(target_modules=r"model\.\w+\.1\.q_proj"),
    dict(target_modules=r"model\.[^\W\d]+\.1\.q_proj"),
    dict(target_modules=r"model\.gr[öo](?:ß|ss)e\.1\.q_proj"),
    dict(target_modules=r".*\.a-b\+c\.q"),
    dict(target_modules=r".*layers\.{1,2}1\.mlp\.up_proj"),
    dict(target_modules=r".*layers\.\d{,1}\.mlp\.up_proj"),
    dict(target_modules=r".*layers\.\d{2}\.mlp\.up_proj"),
    dict(target_modules=r".*layers\.\d{2,}\.mlp\.up_proj"),
    dict(target_modules=r".*[.]mlp[.]up[_]proj"),
    dict(target_modules=r".*layers\.[0-2]\.[]a-z_.]*o_proj"),
    dict(target_modules=r"(?s:.*)norm"),
    dict(target_modules=r".*(#comment)?k_proj"),
    dict(target_modules=r".*(?#note)k_proj"),
    dict(target_modules=r"(?x) .* k_proj  # keys only"),
    dict(target_modules=r"(model\.)?(layers)\.1\.mlp(?(1)\.gate_proj|\.up_proj)"),
    dict(target_modules=r".*\x71_proj"),
    dict(target_modules=r".*\u0071_proj"),
    dict(target_modules=r".*\bmlp\b.*"),
    dict(target_modules=r""),
    dict(target_modules=r".*"),
    dict(target_modules=r".*", exclude_modules=[".norm", "lm_head", "embed_tokens"]),
    dict(target_modules=["q_proj", "k_proj"], exclude_modules=["k_proj"]),
    dict(target_modules=["q_proj", "k_proj"], exclude_modules=["layers.1.self_attn.q_proj", "model.layers.2.self_attn.k_proj"]),
    dict(target_modules=["q_proj", "up_proj"], exclude_modules=r".*layers\.(0|1)\..*"),
    dict(target_modules=["q_proj", "up_proj"], exclude_modules=r"layers"),
    dict(target_modules=["q_proj", "up_proj"], exclude_modules=""),
    dict(target_modules=["q_proj", "up_proj"], exclude_modules=[]),
    dict(target_modules=["q_proj"], layers_to_transform=1),
    dict(target_modules=["q_proj"], layers_to_transform=[0, 11]),
    dict(target_modules=["q_proj"], layers_to_transform=[]),
    dict(target_modules=["q_proj"], layers_to_transform=[99]),
    dict(target_modules=["w1"], layers_to_transform=[1]),
    dict(target_modules=["w1"], layers_to_transform=[0]),
    dict(target_modules=["w1"], layers_to_transform=[0, 1], layers_pattern="experts"),
    dict(target_modules=["q_proj"], layers_to_transform=[1], layers_pattern="layers"),
    dict(target_modules=["q_proj"], layers_to_transform=[1], layers_pattern=["blocks"]),
    dict(target_modules=["q_proj"], layers_to_transform=[1], layers_pattern=["blocks", "layers"]),
    dict(target_modules=["q_proj", "c_attn"], layers_to_transform=[1, 3], layers_pattern="(layers|h)"),
    dict(target_modules=["q_proj", "up_proj"], layers_to_transform=[1], layers_pattern=[]),
    dict(target_modules=["q_proj", "up_proj"], layers_to_transform=[1], layers_pattern="layer"),
    dict(target_modules=["model.layers.0.self_attn.q_proj", "k_proj"], layers_to_transform=[1]),
    dict(target_modules=["q_proj", "lm_head", "embed_tokens"], modules_to_save=["lm_head"]),
    dict(target_modules=["q_proj", "up_proj"], modules_to_save=["layers.1"]),
    dict(target_modules=["q_proj", "up_proj"], modules_to_save=["mlp"]),
    dict(target_modules=["q_proj", "up_proj"], modules_to_save=["proj"]),
    dict(target_modules=["q_proj", "up_proj"], modules_to_save=["l.*p"]),
    dict(target_modules=["q_proj", "up_proj"], modules_to_save=["q.proj"]),
    dict(target_modules=["q_proj", "up_proj"], modules_to_save=[]),
    dict(target_modules=r".*_proj", modules_to_save=["self_attn"], exclude_modules=["down_proj"]),
    # Patterns that Python refuses: loraproof must refuse them too, whatever its own engine thinks of them.
    dict(target_modules=r".*(q_proj"),
    dict(target_modules=r"*q_proj"),
    dict(target_modules=r".*\Qq_proj\E"),
    dict(target_modules=r"(*LIMIT_MATCH=1).*q_proj"),
    dict(target_modules=r".*(?<name>q)_proj"),
    dict(target_modules=r".*\h_proj"),
    dict(target_modules=r".*(?R)?q_proj"),
    dict(target_modules=r".*(?|q|k)_proj"),
    dict(target_modules=r".*q_pro\K"),
    dict(target_modules=r".*(?i)q_proj"),
    dict(target_modules=r".*(?<=a+)q_proj"),
    dict(target_modules=r".*[q-a]_proj"),
    dict(target_modules=r".*\xq_proj"),
    dict(target_modules=r".*(?P>name)q_proj"),
    dict(target_modules=r"[unclosed"),
    dict(target_modules=r".*q_proj\\"[:-1]),
    dict(target_modules=["q_proj"], layers_to_transform=[1], layers_pattern="(layers"),
    dict(target_modules=["q_proj"], exclude_modules="("),
    dict(target_modules=["q_proj"], modules_to_save=["("]),
]

PATTERNS = [
    ["q_proj"],
    ["layers.1.self_attn.q_proj", "q_proj"],
    ["q_proj", "layers.1.self_attn.q_proj"],
    [r"^model\.layers\.0\.mlp\.up_proj", "up_proj"],
    ["proj"],
    [r".*proj", "q_proj"],
    [r"layers\.\d+\.mlp\..*", r"(gate|up)_proj"],
    [r"self_attn.q_proj", r"q_proj$"],
    ["q_proj|k_proj", "v_proj"],
    [r"model", r"norm"],
    [r"1.self_attn.v_proj"],
    [r"q_proj)|(lm_head"],
    [r"(q|k)_proj", r"\w+\.1\.q_proj"],
    [r""],
    [r"größe\.1\.q_proj"],
    ["model.layers.1.a-b+c.q"],
]


def verdict(arguments, name):
    result = check_target_module_exists(LoraConfig(**arguments), name)
    return "excluded" if isinstance(result, _ExcludedModule) else ("targeted" if result else "unmatched")


def main():
    cases = []
    for arguments in CONFIGS:
        try:
            verdicts = {name: verdict(arguments, name) for name in NAMES}
            case = dict(config=arguments, targeted=[n for n in NAMES if verdicts[n] == "targeted"],
                        excluded=[n for n in NAMES if verdicts[n] == "excluded"])
        except re.error as error:
            case = dict(config=arguments, error=str(error))
        cases.append(case)
    patterns = []
    for keys in PATTERNS:
        hits = {}
        for name in NAMES:
            key = get_pattern_key(keys, name)
            if key in keys:
                hits[name] = key
        patterns.append(dict(keys=keys, hits=hits))
    document = dict(meta=dict(command="python3 tests/oracles/adapter_targets_oracle.py", peft=peft.__version__),
                    names=NAMES, cases=cases, patterns=patterns)
    VALUES.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(len(cases), "configs,", len(patterns), "pattern lists,", len(NAMES), "names;",
          sum("error" in case for case in cases), "refused")
    for case in cases:
        if "error" in case:
            print("  ", case["config"], case["error"])


if __name__ == "__main__":
    main()
