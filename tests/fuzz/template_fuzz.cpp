// SPDX-License-Identifier: Apache-2.0
// Chat templates: any source either renders a fixed conversation within its limits or ends in an
// input Error.
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "loraproof/core/json.h"
#include "loraproof/text/chat_template.h"

namespace {

using loraproof::Json;
using loraproof::fuzz::fuzz_check;
using loraproof::text::ChatTemplate;

const Json& conversation() {
  static const Json messages = Json::parse(R"([
    {"role": "system", "content": "Be terse."},
    {"role": "user", "content": [{"type": "text", "text": "Grüße"}, {"type": "image"}]},
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5, null]}}}]},
    {"role": "tool", "content": "{}"}])");
  return messages;
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  return {
      .seeds =
          {"{% for m in messages %}{{ '<' ~ m.role ~ '>' + m['content']|string|trim }}{% endfor %}",
           "{%- set ns = namespace(a=1) -%}{% for m in messages[::-1] if m.content is string %}"
           "{% set ns.a = ns.a + loop.index0 %}{{ loop.last }}{% endfor %}{{ ns.a }}",
           "{% macro f(x, y=2) %}{% if x is mapping %}{% for k, v in x.items() %}{{ k }}{{ f(v) }}"
           "{% endfor %}{% else %}{{ x|tojson(indent=2) }}{% endif %}{% endmacro %}{{ "
           "f(messages[2]) }}",
           "{{ '%05d|%s' % (3, 'x') }}{{ '{:>8}'.format('a') }}{{ 'a,b'.split(',', "
           "1)|map('upper')|join }}",
           "{% generation %}{{ messages|selectattr('role', 'in', ['user'])|list|length }}{% "
           "endgeneration %}"},
      .dictionary = {"{%",       "%}",        "{{",    "}}",        "{#",       "#}",
                     "-%}",      "{%-",       "for ",  " in ",      "if ",      "else",
                     "endfor",   "endif",     "set ",  "macro ",    "endmacro", "call",
                     "endcall",  "filter ",   "loop.", "namespace", "range(",   "messages",
                     ".items()", "|join",     "|sort", "|map(",     "|tojson",  " is ",
                     "defined",  "**",        "//",    "[::-1]",    "'%s' % ",  ".format(",
                     ".split(",  ".replace(", " ~ ",   "not ",      "99999999", "break"}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  loraproof::fuzz::only_input_errors([&] {
    const auto parsed =
        ChatTemplate::from_source(std::string(loraproof::fuzz::as_text(data, size)), "t");
    ChatTemplate::Options options;
    options.special_tokens.by_name = {{"bos_token", "<s>"}};
    options.now = std::chrono::local_seconds{};
    const std::string text = parsed.render(conversation(), options);
    fuzz_check(text.size() <= (std::size_t{16} << 20), "the text keeps its limit");
    fuzz_check(parsed.render(conversation(), options) == text, "the same text comes twice");
  });
  return 0;
}
