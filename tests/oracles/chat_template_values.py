#!/usr/bin/env python3
"""What transformers renders: the truth for tests/unit/text/chat_template_test.cpp.

Usage: chat_template_values.py golden/values/chat_templates.json
       chat_template_values.py OUT.json FILE...   (templates from *.jinja or tokenizer_config.json files)
With files, the result is for a live test (LORAPROOF_CHAT_TEMPLATE_CASES=OUT.json), not for the repository:
it holds other people's templates. Needs transformers 5 and jinja2 >= 3.1.6.
"""
import datetime
import json
import pathlib
import shutil
import sys
import tempfile

import jinja2
import transformers
from transformers.utils import chat_template_utils

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from chat_template_cases import (  # noqa: E402
    CONVERSATIONS, EXPRESSIONS, SPECIAL_TOKEN_FILES, TEMPLATES, TOKEN_TEMPLATE, USER, VARIABLES)

TOKENIZER = pathlib.Path(__file__).resolve().parents[2] / "examples/demo-model/base/tokenizer.json"

NOW = datetime.datetime(2025, 3, 7, 14, 5, 9)


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = FixedClock


def render(source, messages, options):
    """As PreTrainedTokenizerBase.apply_chat_template with tokenize=False."""
    messages = [{k: v for k, v in m.items() if v is not None} for m in messages]
    options = dict(options)
    kwargs = {**options.pop("tokens", {}), **options.pop("extra", {})}
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            conversations=[messages], chat_template=source,
            add_generation_prompt=options.get("add_generation_prompt", True),
            tools=options.get("tools"), documents=options.get("documents"), **kwargs)
        rendered[0].encode("utf-8")
        return {"text": rendered[0]}
    except Exception as error:  # Whatever Jinja or Python raises, we must refuse too.
        raised = type(error) is jinja2.exceptions.TemplateError
        return {"error": str(error) if raised else type(error).__name__, "raised": raised}


def special_tokens():
    """What a template gets to see of the files beside a tokenizer."""
    cases = []
    for name, files in SPECIAL_TOKEN_FILES.items():
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(TOKENIZER, folder)
            for file, content in files.items():
                (pathlib.Path(folder) / file).write_text(json.dumps(content), encoding="utf-8")
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        text = tokenizer.apply_chat_template([USER], chat_template=TOKEN_TEMPLATE, tokenize=False)
        cases.append({"name": name, "files": files, "special_tokens_map": tokenizer.special_tokens_map, "text": text})
    return {"template": TOKEN_TEMPLATE, "messages": [USER], "cases": cases}


def load(path):
    """(name, template) pairs of one file."""
    path = pathlib.Path(path)
    text = path.read_text(encoding="utf-8")
    name = f"{path.parent.parent.parent.name}/{path.name}" if path.suffix == ".json" else path.name
    if path.suffix != ".json":
        return [(name, text)]
    template = json.loads(text).get("chat_template")
    if template is None:
        return []
    if isinstance(template, str):
        return [(name, template)]
    return [(f"{name}:{entry['name']}", entry["template"]) for entry in template]


def main():
    out, files = sys.argv[1], sys.argv[2:]
    templates = dict(pair for path in files for pair in load(path)) if files else TEMPLATES
    cases = []
    for name, source in templates.items():
        for label, (messages, options) in CONVERSATIONS.items():
            cases.append({"template": name, "conversation": label, **render(source, messages, options)})
    result = {
        "made_by": f"chat_template_values.py, transformers {transformers.__version__}, jinja2 {jinja2.__version__}",
        "now": NOW.isoformat(),
        "templates": templates,
        "conversations": {k: {"messages": m, "options": o} for k, (m, o) in CONVERSATIONS.items()},
        "cases": cases,
    }
    if not files:
        result["variables"] = VARIABLES
        result["expressions"] = [
            {"template": source, **render(source, [{"role": "user", "content": "hi"}], {"extra": VARIABLES})}
            for source in EXPRESSIONS]
        result["special_tokens"] = special_tokens()
    pathlib.Path(out).write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    errors = sum("error" in c for c in cases)
    print(f"{len(templates)} templates, {len(cases)} renderings, {errors} errors,"
          f" {len(result.get('expressions', []))} expressions")


if __name__ == "__main__":
    main()
