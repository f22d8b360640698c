"""Conversations, templates and expressions for chat_template_values.py. The templates are written for
this test; together they use every construct that the templates of the supported families use."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a \"city\" <now> & later, 'really' – très bien",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "default": 3, "minimum": 0.5},
                "tags": {"type": "array", "items": {"type": ["string", "null"]}},
                "place": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
                          "required": ["lat"], "additionalProperties": False},
                "any": {"anyOf": [{"type": "string"}, {"type": "integer"}], "description": "a\nb", "nullable": True},
            },
            "required": ["city"],
        },
        "return": {"type": "string"},
    },
}
CLOCK = {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}

USER = {"role": "user", "content": "What is 2+2?"}
SYSTEM = {"role": "system", "content": "You are terse. "}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "abcde1234", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2, "unit": None}}}]}
CALLS = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}},
    {"id": "call00002", "type": "function", "function": {"name": "now", "arguments": "{}"}}]}
ANSWER = {"role": "tool", "name": "get_weather", "tool_call_id": "abcde1234", "content": "{\"temp\": 21.5}"}


def opts(**kwargs):
    return {"tokens": TOKENS, **kwargs}


CONVERSATIONS = {
    "user": ([USER], opts()),
    "user without prompt": ([USER], opts(add_generation_prompt=False)),
    "no special tokens": ([USER], {}),
    "system and user": ([SYSTEM, USER], opts()),
    "turns": ([SYSTEM, USER, {"role": "assistant", "content": "  4\n"}, {"role": "user", "content": "\n And 3+3? \t"}], opts()),
    "ends with assistant": ([USER, {"role": "assistant", "content": "Four."}], opts(add_generation_prompt=False)),
    "unicode": ([{"role": "user", "content": "Grüße 👋🏽 \u200b 日本語 ÅΣΑΣ İ ß 'q' \"d\" \\ \u00a0"}], opts()),
    "empty content": ([{"role": "system", "content": ""}, {"role": "user", "content": ""}], opts()),
    "two users": ([USER, USER], opts()),
    "assistant first": ([{"role": "assistant", "content": "Hi"}, USER], opts()),
    "unknown role": ([{"role": "critic", "content": "no"}], opts()),
    "parts": ([{"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image"}, {"type": "text", "text": "what?"}]}], opts()),
    "parts in all": ([{"role": "system", "content": [{"type": "text", "text": "S"}]}, {"role": "user", "content": [{"type": "text", "text": "U"}]},
                      {"role": "assistant", "content": [{"type": "text", "text": "A"}]}, {"role": "user", "content": [{"type": "text", "text": "V"}]}], opts()),
    "tools": ([SYSTEM, USER], opts(tools=[WEATHER, CLOCK])),
    "empty tools": ([USER], opts(tools=[])),
    "tool call": ([USER, CALL, ANSWER], opts(tools=[WEATHER])),
    "tool answered": ([SYSTEM, USER, CALL, ANSWER, {"role": "assistant", "content": "21 degrees."}, USER], opts(tools=[WEATHER, CLOCK])),
    "two calls": ([USER, CALLS, {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "18"},
                   {"role": "tool", "name": "now", "tool_call_id": "call00002", "content": "noon"}], opts(tools=[WEATHER, CLOCK])),
    "reasoning": ([USER, {"role": "assistant", "reasoning_content": "two and\ntwo", "content": "4"}, USER], opts()),
    "reasoning by another name": ([USER, {"role": "assistant", "content": "4", "reasoning": "hm"}], opts(add_generation_prompt=False)),
    "think tags": ([USER, {"role": "assistant", "content": "<think>\nwell\n</think>\n\n4"}, {"role": "user", "content": "and?"},
                    {"role": "assistant", "content": "<think>x</think>8"}], opts(add_generation_prompt=False)),
    "thinking off": ([USER], opts(extra={"enable_thinking": False, "thinking": False, "reasoning_effort": "low"})),
    "thinking on": ([USER], opts(extra={"enable_thinking": True, "thinking": True})),
    "date given": ([SYSTEM, USER], opts(extra={"date_string": "26 Jul 2024", "custom_tools": [WEATHER], "tools_in_user_message": False})),
    "documents": ([USER], opts(documents=[{"title": "One", "text": "first"}, {"title": "Two", "text": "second\nline"}])),
    "developer": ([{"role": "developer", "content": "Be kind."}, USER], opts(tools=[WEATHER])),
    "code": ([{"role": "user", "content": "{% raw %} {{ x }} {# c #}\r\n```py\nprint('<|im_end|>')\n```"}], opts()),
    "null content": ([USER, {"role": "assistant", "content": None}, USER], opts()),
}

TEMPLATES = {
    "chatml": """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "default system": """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "alternation": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate: user, assistant, user...') }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, not " ~ message.role ~ "!") }}
    {%- endif %}
{%- endfor %}
""",
    "tools as xml": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
                {{- '<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' }}{{- content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}""",
    "headers with a date": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message is taken out #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start|>system<|end|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start|>' + message['role'] + '<|end|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start|>assistant<|end|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start|>ipython<|end|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\\n\\n' }}
{%- endif %}
""",
    "types by macro": """{%- macro render_type(spec, required=true) -%}
    {%- if spec is string -%}
        {{ spec }}
    {%- elif 'anyOf' in spec -%}
        {%- for option in spec.anyOf -%}
            {{ render_type(option) }}{% if not loop.last %} | {% endif %}
        {%- endfor -%}
    {%- elif spec.type == "array" and spec['items'] is defined -%}
        Array<{{ render_type(spec['items'], required=false) }}>
    {%- elif spec.type == "object" and spec.properties is mapping -%}
        {
        {%- for name, inner in spec.properties.items() %}
            {{ name }}{{ "?" if name not in (spec.required or []) }}: {{ render_type(inner) }}{{ ", " if not loop.last else "" }}
        {%- endfor -%}
        }
    {%- elif spec.enum -%}
        {{ spec.enum | map('tojson') | join(" | ") }}
    {%- elif spec.type is iterable and spec.type is not string -%}
        {{ spec.type | join("|") }}
    {%- else -%}
        {{ spec.type | replace("integer", "int") }}{% if spec.default is defined %} = {{ spec.default }}{% endif %}{{ '' if required else '!' }}
    {%- endif -%}
{%- endmacro -%}
{%- macro block(title) %}[{{ title }}:{{ caller() }}]{% endmacro -%}
{% for tool in tools or [] %}
    {% set f = tool.function %}
function {{ f.name }}({{ render_type(f.parameters) }}){% if f.description %} // {{ f.description|replace("\\n", " ")|truncate(30) }}{% endif %}

{% else %}
no tools
{% endfor %}
{% for message in messages if message.role != "system" %}
    {% call block(message.role|title) %}{% filter indent(2) %}{{ message.content if message.content is string else message.content|selectattr("type", "equalto", "text")|map(attribute="text")|join("+") }}{% endfilter %}{% endcall %}

{% endfor %}
{% for d in documents or [] %}
{{ loop.index }}/{{ loop.length }} {% for key, value in d|dictsort %}{{ key|upper }}={{ value.splitlines()|join("/") }};{% endfor %}

{% endfor %}
""",
    "generation": """{%- for message in messages -%}
{%- if message.role == "assistant" -%}
{{ "<a>" }}{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}
{%- else %}
{{ "<" ~ message.role[0] ~ ">" ~ message.content }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<a>{%- endif -%}""",
    "loop control": """{% set ns = namespace(found=false, text="") %}
{% for message in messages %}
  {% if message.role == "system" %}{% continue %}{% endif %}
  {% if message.content is not string %}
    {% for part in message.content %}
      {% if part.type == "image" %}{% set ns.text = ns.text ~ "<img>" %}{% continue %}{% endif %}
      {% set ns.text = ns.text ~ part.text %}
    {% endfor %}
  {% else %}
    {% set ns.text = ns.text ~ message.content|trim %}
  {% endif %}
  {% set ns.found = true %}
  {% if loop.index > 3 %}{% break %}{% endif %}
  prev={{ loop.previtem.role if loop.previtem is defined else "-" }} next={{ loop.nextitem.role|default("-") }} {{ loop.cycle("a", "b") }}{{ loop.changed(message.role) }}
{% else %}
  none of them
{% endfor %}
{%- set block %}
  <{{ ns.text }}>
{% endset -%}
{{ block|trim }}{{ ns.found }}
""",
}

VARIABLES = {
    "n": 7, "f": 2.5, "s": "Hello, World", "u": "Grüße 👋 ÅΣ", "empty": "", "yes": True, "no": False,
    "words": ["banana", "Apple", "cherry", "apple"], "nums": [3, 1, 2, 10], "nested": [[1, "a"], [2, "b"]],
    "d": {"b": 1, "a": [1, 2], "C": None, "items": "shadow"}, "objs": [
        {"name": "x", "rank": 2, "on": True}, {"name": "y", "rank": 1, "on": False}, {"name": "Z", "rank": 2}],
    "deep": {"a": {"b": [{"c": 5}]}}, "floats": [0.1, 1e16, 1e-5, 123456789.125, 1.0, -0.0, 1e22, 3e-324],
    "multi": "one\ntwo\n\n three", "space": " \t x \n",
}

EXPRESSIONS = []


def group(*templates):
    EXPRESSIONS.extend(templates)


def exprs(*expressions):
    EXPRESSIONS.extend("{{ " + e + " }}" for e in expressions)


# Literals, operators, precedence.
exprs("1 + 2 * 3", "(1 + 2) * 3", "2 ** 3 ** 2", "-2 ** 2", "7 // 2", "-7 // 2", "7 % 3", "-7 % 3", "7 % -3", "7 / 2", "6 / 2",
      "2 ** -1", "7.5 // 2", "-7.5 % 2", "1e3", "1_000", "0x1F", "0b101", "0o17", "1.5e-7", "10 / 4 * 2", "1 - 2 - 3", "+5", "- 5 + 3",
      "true + true", "-true", "1 / 3", "2 / 3", "1e16 + 1", "0.1 + 0.2", "100000000000000000 * 10", "1 // 0", "1 % 0", "1.0 / 0",
      "'a' ~ 1 ~ none ~ 2.0 ~ true", "'a' + 'b'", "'a' + 1", "'ab' * 3", "3 * 'ab'", "[1] * 2", "[1] + [2]", "(1,) + (2, 3)", "[1] + (2,)",
      "'a' 'b'", "1 ~ 2 + 3", "'x' ~ 1 + 2 ~ 'y'", "'%s is %d' % ('a', 3)", "'%s' % 'x'", "'%05.1f|%-5s|%5s|%x|%%' % (3.14159, 'a', 'b', 255)",
      "'%s' % [1, 2]", "'%(a)s' % {'a': 1}", "'%d' % 'x'", "'%s %s' % (1,)", "'%r' % 'it\\'s'", "1 if true", "1 if false", "(1 if false) is undefined",
      "'a' if n > 5 else 'b'", "1 if false else 2 if false else 3", "not true", "not not n", "true and 'x' or 'y'", "'' or none", "none and 1",
      "true or 1 / 0", "1 < 2 < 3", "1 < 3 < 2", "1 == 1.0", "1 == true", "'1' == 1", "1 != 2", "none == none", "n >= 7 and n <= 7", "'a' < 'b'",
      "[1, 2] < [1, 3]", "'a' < 1", "none < 1", "1 in [1, 2]", "4 not in nums", "'a' in 'banana'", "1 in 'banana'", "'b' in d", "'x' in d",
      "1 in 5", "'x' in missing", "not 1 in [1]", "1 is odd and 2 is even", "[1, 2] == [1, 2]", "(1, 2) == [1, 2]", "{'a': 1} == {'a': 1.0}",
      "missing == missing2", "missing == none", "[]", "[1, 'a', none, true, 1.5]", "(1,)", "()", "(1, 2)", "{'a': 1, 'b': [1, {'c': none}]}", "{}",
      "{1: 2, 'x': 3, none: 4}", "{'a': 1, 'a': 2}", "[1, 2,]", "\"it's\"", "['it\\'s', '\"', '\\n', '\\\\']", "'\\u00e9\\x41\\t|\\101|\\z'", "'a\\\nb'",
      "[u, '\\u200b', '\\x7f', '\\U0001f44b']", "floats", "floats[7] == 0", "1.0", "1e100", "3.0 * 2", "n", "missing", "none", "True", "False", "None")
# Names, attributes, items, slices.
exprs("d.b", "d['b']", "d['items']", "d.items()", "d.keys()", "d.values()|list", "d.get('b')", "d.get('z')", "d.get('z', 5)", "d.missing",
      "d.missing.more", "missing.more", "missing['x']", "missing()", "d.b.c", "d.b.c.d", "d['missing']|default('x')", "s.upper()", "s.missing", "s[0]", "s[-1]", "s[99]", "u[6]", "u[-1]",
      "u|length", "u[2:8]", "u[::-1]", "s[::2]", "s[5:]", "s[:5]", "s[-5:-2]", "s[10:2:-2]", "s[::0]", "nums[1:]", "nums[::-1]", "nums[-2:]", "nums[5:]",
      "nums[0]", "nums[-1]", "nums[9]", "nums['x']", "nums.0", "(1, 2, 3)[1:]", "d.C[1:]", "missing[1:]", "d[1:]", "none.x", "n.x", "n[0]", "nums[none:2]", "nums[true]",
      "deep.a.b[0].c", "deep['a']['b'][-1]['c']", "d.append", "nums.append(1)", "nums.pop()", "d.pop('a')", "d.update({})", "d.__class__", "s.__class__.__mro__", "''.__len__()",
      "nums.index(2)", "nums.index(99)", "nums.count(1)", "(1, 1).count(1)", "range(3)|list", "range(1, 10, 3)|list", "range(5, 0, -2)|list", "range(3)", "range(2)[1]", "range(200000)|length", "range(0, 10, 0)",
      "dict(a=1, b=2)", "dict({'x': 1}, y=2)", "dict([('a', 1)])", "namespace(a=1).a", "namespace(a=1)", "namespace(_a=1)", "raise_exception('no good')", "strftime_now('%Y-%m-%d %H:%M:%S %A %j')",
      "strftime_now('%B %-d, %y %p %I %f|%z|%Z|%%')", "n()", "s()", "d.get()", "[1, 2](0)", "d.items is callable", "d.get(nums)", "d[nums]")
# String methods.
exprs("space.strip()|tojson", "space.lstrip()|tojson", "space.rstrip()|tojson", "'xxaxx'.strip('x')", "'abcba'.lstrip('ab')", "'a.b.c'.rstrip('.c')", "'ÄaÄ'.strip('Ä')",
      "'a b  c '.split()", "'a b  c '.split(' ')", "'a,b,c'.split(',', 1)", "'a,b,c'.rsplit(',', 1)", "' a b c '.split(none, 1)", "' a b c '.rsplit(none, 1)", "'  '.split(none, 1)", "'a '.split(none, 1)", "' a'.rsplit(none, 1)", "'a'.split('')", "'a,b'.split(sep=',', maxsplit=1)", "''.split()", "''.split(',')",
      "multi.splitlines()", "'a\\r\\nb\\rc\\n'.splitlines(true)", "s.startswith('Hello')", "s.startswith(('x', 'H'))", "s.endswith('ld')", "s.startswith('W', 7)", "s.startswith(1)", "s.endswith('')",
      "s.lower()", "s.title()", "s.swapcase()", "'hello wORLD'.capitalize()", "'they\\'re bill\\'s'.title()", "u.upper()", "u.lower()", "'ß'.upper()", "'ﬁ'.title()", "'ΑΣ ΑΣΑ'.lower()", "'İ'.lower()", "'ǆ'.title()", "'აბ'.title()",
      "s.replace('l', 'L')", "s.replace('l', 'L', 1)", "'aaa'.replace('', '-')", "'aaa'.replace('', '-', 2)", "s.replace('x')", "s.find('o')", "s.find('o', 5)", "s.rfind('o')", "s.find('zz')", "u.find('👋')", "s.index('zz')", "s.count('l')", "'aaaa'.count('aa')", "'abc'.count('')",
      "', '.join(['a', 'b'])", "''.join([])", "'-'.join('abc')", "','.join([1])", "'5'.zfill(3)", "'-5'.zfill(4)", "'a'.center(5, '*')", "'ab'.center(5)", "'a'.ljust(3) ~ '|'", "'a'.rjust(3)", "'123'.isdigit()", "'１２'.isdigit()", "'²'.isdigit()", "'²'.isdecimal()", "'½'.isnumeric()", "'aé'.isalpha()", "'a1'.isalnum()",
      "' '.isspace()", "'A'.isupper()", "'a1'.islower()", "'1'.islower()", "'Ab Cd'.istitle()", "''.isalpha()", "'abc'.isascii()", "'key=value=x'.partition('=')", "'key=value=x'.rpartition('=')", "'abc'.partition('x')", "'prefix-a'.removeprefix('prefix-')", "'a.txt'.removesuffix('.txt')", "'a'.removesuffix('')",
      "'{} and {}'.format(1, 'b')", "'{0}{1}{0}'.format('a', 'b')", "'{x}-{y.b}-{z[0]}'.format(x=1, y=d, z=nums)", "'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')", "'{:05d}|{:+}|{:,}|{:x}|{:.2f}|{:8.3f}|{:%}|{:e}'.format(42, 7, 1234567, 255, 3.14159, 2.5, 0.25, 12345.678)", "'{{}}'.format()", "'{}'.format()", "'{!r}'.format('a')", "'{'.format(1)", "'{:d}'.format('a')", "'{:.3}'.format('abcdef')", "'{:d}'.format(true)")
# Filters.
exprs("words|length", "words|count", "n|length", "none|length", "missing|length", "words|first", "words|last", "[]|first", "[]|last", "s|first", "s|last", "u|last", "words|join(', ')", "nums|join", "missing|join(',')", "objs|join('/', attribute='name')", "s|upper|lower", "missing|upper", "none|upper", "n|string + 'x'", "s|title", "'a-b (c d)'|title", "'xAB'|capitalize", "space|trim|tojson", "'xxaxx'|trim('x')", "n|trim",
      "d|tojson", "objs|tojson", "u|tojson", "'<a> & \\'b\\''|tojson", "floats|tojson", "d|tojson(indent=2)", "[[], {}, [1, {'a': []}]]|tojson(indent=1)", "d|tojson(separators=(',', ':'))", "d|tojson(sort_keys=true)", "u|tojson(ensure_ascii=true)", "missing|tojson", "(1, 2)|tojson", "range(2)|tojson", "{1: 2, true: 3, none: 4, 1.5: 5}|tojson", "'\\x00\\x1f\\x7f\\u2028'|tojson", "d.items()|tojson",
      "missing|default('x')", "missing|d('x')", "''|default('x')", "''|default('x', true)", "none|default('x')", "none|default('x', boolean=true)", "missing|default", "d.missing|default(d.b)", "s|replace('l', 'L')", "s|replace('l', 'L', 1)", "n|replace(7, 8)", "s|replace('x')", "d|items|list", "missing|items|list", "nums|items|list", "d|dictsort", "d|dictsort(true)", "{'b': 1, 'a': 2}|dictsort(by='value')", "{'b': 1, 'a': 2}|dictsort(reverse=true)", "d|dictsort(by='x')",
      "multi|indent", "multi|indent(2, true)", "multi|indent(2, blank=true)", "multi|indent('>> ')", "multi|indent(width=3, first=true)", "n|indent", "'42'|int", "'4.7'|int", "'x'|int", "'x'|int(5)", "'0x1f'|int(0, 16)", "'ff'|int(base=16)", "none|int", "4.9|int", "-4.9|int", "true|int", "missing|int", "'1_000'|int", "' 12 '|int", "[]|int", "'1e3'|int", "'1.5'|float", "'x'|float", "'x'|float(2.5)", "3|float", "'nan'|float", "'-inf'|float", "'1e5'|float", "none|float",
      "-3|abs", "-2.5|abs", "'a'|abs", "2.5|round", "3.5|round", "42.55|round(1)", "2.675|round(2)", "42|round", "42.4|round(method='ceil')", "42.46|round(1, 'floor')", "-2.5|round", "42.7|round|int", "nums|sort", "words|sort", "words|sort(case_sensitive=true)", "words|sort(reverse=true)", "objs|sort(attribute='rank')|map(attribute='name')|list", "objs|sort(attribute='rank,name')|map(attribute='name')|join", "[1, 'a']|sort", "nums|reverse|list", "s|reverse", "words|unique|list", "words|unique(true)|list", "objs|unique(attribute='rank')|map(attribute='name')|list", "[[1]]|unique|list",
      "nums|sum", "objs|sum(attribute='rank')", "nums|sum(start=100)", "words|sum", "[]|sum", "nums|min", "nums|max", "words|max", "[]|max", "objs|max(attribute='rank')", "words|map('upper')|list", "objs|map(attribute='name')|list", "objs|map(attribute='on', default='?')|list", "objs|map(attribute='on')|list", "nested|map('first')|list", "nested|map(attribute=1)|list", "nested|map('join', '-')|list", "words|map('replace', 'a', 'A')|join(' ')", "words|map('nofilter')|list", "words|map|list", "missing|map('upper')|list", "deep|map('upper')|join",
      "nums|select('odd')|list", "nums|reject('odd')|list", "nums|select('gt', 2)|list", "nums|select('>', 2)|list", "[0, 1, '', 'a', none]|select|list", "objs|selectattr('on')|map(attribute='name')|list", "objs|selectattr('on', 'defined')|list|length", "objs|selectattr('name', 'equalto', 'x')|first", "objs|rejectattr('on')|map(attribute='name')|list", "objs|selectattr('rank', 'in', [1])|list", "objs|selectattr('name', 'nope')|list", "objs|selectattr|list", "words|select('string')|length", "words|list is iterable", "s|list", "d|list", "missing|list", "n|list",
      "words|batch(3)|list", "words|batch(3, 'x')|list", "nums|slice(3)|list", "nums|slice(3, 0)|list", "s|center(20)|tojson", "s|wordcount", "'a <b> \\'c\\' \"d\" &'|e", "'<'|escape|escape", "'<'|safe", "('<'|e) ~ '>'", "('<'|e) + '>'", "'>' + ('<'|safe)", "('<'|safe + '>')|e", "d|tojson|safe + '<'", "('<'|safe)|upper + '>'", "('<'|safe)|string + '>'", "'%s-%s'|format(1, 'a')", "'%(x)s'|format(x=3)", "'the quick brown fox jumps'|truncate(12)", "'the quick brown fox jumps'|truncate(12, true)", "'short'|truncate(3)", "'the quick brown fox'|truncate(10, false, '…', 0)", "d|attr('b')", "s|attr('upper')()", "s|nofilter", "words|first|upper ~ '!'", "-1|abs", "'a'|upper * 2", "1 + '2'|int", "nums|max - 1")
# Tests.
exprs("n is defined", "missing is defined", "missing is undefined", "none is none", "missing is none", "n is not none", "s is string", "n is string", "d is mapping", "nums is mapping", "nums is iterable", "s is iterable", "n is iterable", "missing is iterable", "nums is sequence", "s is sequence", "d is sequence", "d.items() is sequence", "missing is sequence", "n is number", "f is number", "yes is number", "'1' is number", "n is integer", "yes is integer", "f is float", "yes is boolean", "n is boolean", "yes is true", "no is false", "1 is true", "n is odd", "n is even", "s is odd", "n is divisibleby 7", "n is divisibleby(3)",
      "n is eq 7", "n is equalto 7", "n is == 7", "n is ne 7", "n is gt 3", "n is lt 3", "n is ge(7)", "n is le 7", "n is greaterthan 3", "n is lessthan 3", "n is in [7, 8]", "'a' is in 'abc'", "n is not in [1]", "'abc' is lower", "'ABC' is upper", "'A1' is upper", "range is callable", "n is callable", "missing is callable", "none is sameas none", "true is sameas true", "d is sameas d", "'upper' is filter", "'nope' is filter", "'odd' is test", "('<'|e) is escaped", "s is nosuchtest", "n is defined and missing is not defined", "not n is defined", "n is number is defined", "words is sequence and words is not string", "d.b is defined and d.b", "nums[0] is eq nums[0] + 0")
# Statements, scopes, white space.
group("{% for x in nums %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for a, b in nested %}{{ a }}{{ b }}{% endfor %}", "{% for a, b in nums %}{% endfor %}", "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
      "{% for x in nums if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}", "{% for x in nums if x > 99 %}x{% else %}e{% endfor %}", "{% for x in nums %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.depth }};{% endfor %}", "{% for x in nums %}{{ loop.previtem }}<{{ x }}<{{ loop.nextitem }} {% endfor %}", "{% for x in nums %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}",
      "{% for x in nums %}{% for y in words %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for x in missing %}a{% endfor %}b", "{% for x in none %}a{% endfor %}", "{% for x in 5 %}a{% endfor %}", "{% for c in 'añb' %}{{ c }}.{% endfor %}", "{% for x in nums %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in nums %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in [1] %}{% break %}{% else %}e{% endfor %}", "{% for x in [1, 2] %}{% continue %}{% else %}e{% endfor %}", "{% break %}", "{% for x in nums %}{{ loop(nums) }}{% endfor %}",
      "{% set x = 1 %}{% for y in nums %}{% set x = x + y %}{{ x }};{% endfor %}{{ x }}", "{% set ns = namespace(x=0) %}{% for y in nums %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}", "{% set ns = namespace(done=false) %}{% for y in nums if not ns.done %}{{ y }}{% set ns.done = true %}{% endfor %}", "{% set ns = namespace() %}{% set ns.new = 1 %}{{ ns.new }}{{ ns.other }}", "{% set d.x = 1 %}", "{% set missing.x = 1 %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set (a, b) = 'xy' %}{{ b }}{{ a }}", "{% set x %}a{{ n }}b{% endset %}{{ x }}", "{% set x | upper %}abc{% endset %}{{ x }}", "{% set x | replace('a', 'z') | upper %}abc{% endset %}{{ x }}",
      "{% if true %}{% set x = 1 %}{% endif %}{{ x }}", "{% if false %}{% set n = 1 %}{% endif %}{{ n }}", "{% for i in [1] %}{% if false %}{% set n = 1 %}{% endif %}{{ n }}{% endfor %}", "{% for i in [1, 2] %}{{ n }}{% set n = 99 %}{{ n }};{% endfor %}{{ n }}", "{% for i in [1] %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}", "{{ n }}{% set n = 1 %}{% for i in [1] %}{{ n }}{% endfor %}", "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = 1 %}{{ m() }}", "{% if no %}a{% elif n == 7 %}b{% else %}c{% endif %}", "{% if missing %}a{% else %}b{% endif %}", "{% if nums and d and not empty %}y{% endif %}", "{% if 1, 2 %}t{% endif %}",
      "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(x) %}[{{ caller() }}{{ x }}]{% endmacro %}{% call m(1) %}body{{ n }}{% endcall %}", "{% macro m() %}{{ caller('p', q=2) }}{% endmacro %}{% call(p, q=1) m() %}{{ p }}{{ q }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro m() %}{% set x = 5 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}", "{% macro m() %}a{% endmacro %}{{ m()|upper }}{{ m() + 'b' }}", "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
      "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}banana{% endfilter %}", "{% with a=1, b=n %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set n = 1 %}{{ n }}{% endwith %}{{ n }}", "{% with n=n+1 %}{{ n }}{% endwith %}", "{% generation %}{% set q = 1 %}{{ n }}{{ q }}{% endgeneration %}{{ q }}", "{% raw %}{{ x }}{% if %}{% endraw %}", "{% raw -%}  a  {%- endraw %}|", "a{# c #}b", "a {#- c -#} b", "{# multi\nline #}\nx", "{#+ x +#}\ny", "a\n  {# c #}\n  b",
      "a\n{% if true %}\nb\n{% endif %}\nc", "a\n  {% if true %}  \n  b\n  {% endif %}  \nc", "  {{ n }}\n  {%+ if true %}x{% endif +%}\ny", "a   {{- n -}}   b", "a\n\n{%- if true -%}\n\nb{% endif %}", "x\n", "x\n\n", "x\r\ny\r\n", "{{ n }}\n", "{% if true %}x{% endif %}\n", "\n{% if true %}\n{% endif %}", "{{ '{{' }}{{ '}}' }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': 1}}}", "{{ 1 }}{{+ 2 }}", "{{-1 }}", "\t{% set x = 1 %}\t\n{{ x }}", "{% set x = 'a\nb' %}{{ x }}{{ 1/0 }}", "text only é 👋", "", "\n", "{{ 1,2 }}", "{{ (1, 2)|first }}", "{{ [1,2,3]\n[1] }}",
      "{{ n ", "{% if %}", "{% if n %}", "{% endif %}", "{% for x nums %}{% endfor %}", "{% nosuch %}", "{{ }}", "{{ 'a }}", "{{ n | }}", "{{ n. }}", "{{ (1 }}", "{{ 1) }}", "{{ a b }}", "{% set 1 = 2 %}", "{% set loop = 1 %}{{ loop }}", "{% for loop in nums %}{% endfor %}", "{# open", "{% raw %}x", "{{ f(a=1, 2) }}", "{{ dict(a=1, **{'b': 2}) }}", "{{ dict(a=1, **{'a': 2}) }}", "{{ '{}-{}'.format(*nums[:2]) }}", "{{ range(*[1, 3])|list }}", "{% macro m(a, a2=1, b) %}{% endmacro %}", "{% set x = 1 if false %}{{ x }}|{{ x is defined }}", "{{ n if n else }}", "{% if n is defined -%} a {%- endif %}", "{{ 5 is odd is true }}", "{{ $ }}", "{{ 'é'|length }}", "{%- set x = namespace(a=[]) -%}{% set x.a = x.a + [1] %}{% set x.a = x.a + [2] %}{{ x.a }}",
      "{% set g = nums|select('odd') %}{{ g|list }}{{ g|list }}", "{% set g = words|map('upper') %}{{ g|first }}{{ g|join }}", "{% if words|select('none') %}truthy{% endif %}", "{% for x in words|map('length') %}{{ loop.last }}{{ x }}{% endfor %}", "{{ messages[0].role }}{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}", "{% set messages = messages + [{'role': 'x', 'content': 'y'}] %}{{ messages|length }}{{ messages[-1].role }}", "{% set r = namespace(v=1) %}{% macro m() %}{% set r.v = r.v + 1 %}{% endmacro %}{{ m() }}{{ m() }}{{ r.v }}", "{{ d }}", "{{ objs[0] }}", "{{ d.items() | list | first | last }}", "{{ bos_token is defined }}", "{{ [d.b, missing] }}", "{{ {'a': missing} }}")


def token(content, **kwargs):
    """An AddedToken as save_pretrained writes it."""
    return {**kwargs, "content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}


def typed(content):
    return token(content, __type="AddedToken", special=True)


def beside(config, token_map=None):
    """Files beside tokenizer.json; with a map file the config has no table of added tokens."""
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    if token_map is None:
        return {"tokenizer_config.json": {**config, "added_tokens_decoder": {}}}
    return {"tokenizer_config.json": config, "special_tokens_map.json": token_map}


SEVEN = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")}
NAMES = [*SEVEN, "image_token", "audio_token", "boi"]
TOKEN_TEMPLATE = "".join(f"{{% if {name} is defined %}}{name}={{{{ {name} }}}};{{% endif %}}" for name in NAMES)

SPECIAL_TOKEN_FILES = {
    "all seven": beside(SEVEN),
    "all seven as objects": beside({name: typed(text) for name, text in SEVEN.items()}),
    "all seven in the map file": beside({}, {name: token(text) for name, text in SEVEN.items()}),
    "sep, cls and mask alone": beside({name: SEVEN[name] for name in ("sep_token", "cls_token", "mask_token")}),
    "none": beside({}),
    "an empty one": beside({"bos_token": "", "eos_token": None}),
    "one of the model's own": beside({"bos_token": "<b>", "image_token": "<img>"}),
    "the model's own as objects": beside({"image_token": typed("<img>"), "audio_token": token("<audio>")}),
    "keys that are no tokens": beside({"image_token": 5, "audio_token": None, "add_bos_token": True}),
    "a table of extra tokens": beside({"extra_special_tokens": {"image_token": "<img>", "boi": typed("<boi>")}}),
    "a list of extra tokens": beside({"extra_special_tokens": ["<a>"], "bos_token": "<b>"}),
    "the older name of the table": beside({"additional_special_tokens": {"image_token": "<img>"}}),
    "both names": beside({"additional_special_tokens": {"image_token": "<img>"}, "extra_special_tokens": ["<a>"]}),
    "a table over a key": beside({"image_token": "<1>", "extra_special_tokens": {"image_token": "<2>"}}),
    "a table over a standard token": beside({"bos_token": "<1>", "extra_special_tokens": {"bos_token": "<2>"}}),
    "the table of a saved tokenizer": beside({"model_specific_special_tokens": {"image_token": "<img>"}}),
    "that table beside a key": beside({"model_specific_special_tokens": {"image_token": "<img>"}, "audio_token": "<a>"}),
    "map file over config": beside({"bos_token": "<1>", "image_token": "<c>"}, {"bos_token": "<2>", "image_token": "<m>"}),
    "map file takes one away": beside({"bos_token": "<1>", "eos_token": "<e>"}, {"bos_token": None}),
    "map file adds to a table": beside({"audio_token": "<c>"}, {"extra_special_tokens": {"image_token": "<img>"}}),
    "map file's table over config": beside({"image_token": "<c>"}, {"extra_special_tokens": {"image_token": "<img>"}}),
    "map file's own as object": beside({}, {"image_token": token("<img>")}),
    "map file is not read": {
        "tokenizer_config.json": beside({"bos_token": "<1>"})["tokenizer_config.json"],
        "special_tokens_map.json": {"bos_token": "<2>", "image_token": "<img>"}},
}
