// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/chat_template.h"

#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "loraproof/core/json.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace loraproof::text {
namespace {

using test::TempDir;

// 2025-03-07 14:05:09, the clock of chat_template_values.py.
const std::chrono::local_seconds kNow{std::chrono::local_days{std::chrono::year{2025} / 3 / 7} +
                                      std::chrono::hours{14} + std::chrono::minutes{5} +
                                      std::chrono::seconds{9}};

ChatTemplate::Options options_from(const Json& json) {
  ChatTemplate::Options options;
  options.now = kNow;
  options.add_generation_prompt = json.value("add_generation_prompt", true);
  if (json.contains("tools")) options.tools = json["tools"];
  if (json.contains("documents")) options.documents = json["documents"];
  if (json.contains("extra")) options.extra = json["extra"];
  if (json.contains("tokens")) {
    json["tokens"].get_to(options.special_tokens.by_name);
  }
  return options;
}

struct Outcome {
  std::string text;
  std::string error;
};

Outcome outcome_of(const std::string& source, const Json& messages, const Json& options) {
  try {
    return {ChatTemplate::from_source(source, "t").render(messages, options_from(options)), ""};
  } catch (const Error& error) {
    return {"", error.what()};
  }
}

/// Empty when we did what transformers did. An error there must be one here, with the same message
/// where the template itself raised it; a construct we do not implement is a difference.
std::string difference(const Json& expected, const Outcome& got) {
  if (expected.contains("text")) {
    if (!got.error.empty()) return "refused: " + got.error;
    const auto want = expected["text"].get<std::string>();
    return got.text == want ? ""
                            : "wanted " + brief(want, 400) + " got " + brief(Json(got.text), 400);
  }
  if (got.error.empty()) {
    return "expected an error (" + expected["error"].get<std::string>() + "), got " +
           brief(Json(got.text), 200);
  }
  const bool raised = expected["raised"].get<bool>();
  const bool same =
      !raised || got.error.find(expected["error"].get<std::string>()) != std::string::npos;
  return same ? "" : "another error: " + got.error;
}

struct Tally {
  std::size_t cases = 0;
  std::vector<std::string> different;
};

Tally compare_cases(const Json& values) {
  Tally tally;
  for (const Json& entry : values["cases"]) {
    const Json& conversation = values["conversations"][entry["conversation"].get<std::string>()];
    const auto got = outcome_of(values["templates"][entry["template"].get<std::string>()],
                                conversation["messages"], conversation["options"]);
    const std::string wrong = difference(entry, got);
    ++tally.cases;
    if (wrong.empty()) continue;
    tally.different.push_back(entry["template"].get<std::string>() + " x " +
                              entry["conversation"].get<std::string>() + ": " + wrong);
  }
  return tally;
}

Json golden() {
  return read_json_file(std::string(LORAPROOF_SOURCE_DIR) + "/golden/values/chat_templates.json");
}

const Json kUser = Json::array({{{"role", "user"}, {"content", "hi"}}});

std::string error_of(const std::string& source, const Json& messages = kUser,
                     const Json& options = Json::object()) {
  const auto got = outcome_of(source, messages, options);
  CHECK(got.text.empty());
  return got.error;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("templates render as transformers renders them") {
  const auto tally = compare_cases(golden());
  CHECK(tally.cases >= 200);
  CHECK(tally.different == std::vector<std::string>{});
}

TEST_CASE("expressions and statements mean what they mean in jinja2") {
  const Json values = golden();
  const Json options = {{"extra", values["variables"]}};
  std::size_t count = 0;
  std::vector<std::string> different;
  for (const Json& entry : values["expressions"]) {
    const std::string wrong = difference(entry, outcome_of(entry["template"], kUser, options));
    ++count;
    if (!wrong.empty()) different.push_back(entry["template"].get<std::string>() + ": " + wrong);
  }
  CHECK(count >= 500);
  CHECK(different == std::vector<std::string>{});
}

TEST_CASE("templates of published models render as transformers renders them", "[live]") {
  const char* path = std::getenv("LORAPROOF_CHAT_TEMPLATE_CASES");
  if (path == nullptr) return;
  const auto tally = compare_cases(read_json_file(path));
  WARN(tally.cases << " renderings compared");
  CHECK(tally.cases > 0);
  CHECK(tally.different == std::vector<std::string>{});
}

TEST_CASE("what a template may not do is refused by name and line") {
  struct Row {
    const char* source;
    const char* part;
  };
  const Row rows[] = {
      {"a\n{{ raise_exception('no ' ~ 5) }}",
       "line 2: the chat template refuses this conversation: no 5"},
      {"\n\n{% include 'x' %}", "line 3: the chat template uses the tag 'include'"},
      {"{% extends 'x' %}", "the tag 'extends', which is not implemented"},
      {"{% import 'x' as y %}", "the tag 'import'"},
      {"{% from 'x' import y %}", "the tag 'from'"},
      {"{% block b %}{% endblock %}", "the tag 'block'"},
      {"{% for x in [1] recursive %}{% endfor %}", "recursive loops"},
      {"{{ 1|pprint }}", "the filter 'pprint'"},
      {"{{ [1]|map('pprint')|list }}", "the filter 'pprint'"},
      {"{{ 'a'.encode() }}", "the method 'encode' of str"},
      {"{{ 'a'.upper }}", "printing a function"},
      {"{{ [1]|map('upper') }}", "printing a generator"},
      {"{{ lipsum() }}", "the function 'lipsum'"},
      {"{{ 9223372036854775807 + 1 }}", "integers of more than 64 bits"},
      {"{{ 99999999999999999999 }}", "integers of more than 64 bits"},
      {"{{ (5).real }}", "the attribute 'real' of int"},
      {"{{ 'a'|safe * 2 }}", "the operator * on escaped text"},
      {"{{ '<'|e|indent }}", "the filter 'indent' on escaped text"},
      {"{{ '<'|e|truncate }}", "the filter 'truncate' on escaped text"},
      {"{{ '<'|e|center }}", "the filter 'center' on escaped text"},
      {"{{ '<'|e|format }}", "the filter 'format' on escaped text"},
      {"{{ ('<'|e).upper() }}", "methods of escaped text"},
      {"{{ '\\ud800' }}", "surrogates in a string"},
      {"{{ '\\N{DASH}' }}", "the escape \\N{...}"},
      {"{{ 1|nothing }}", "there is no filter named 'nothing'"},
      {"{{ 1 is nothing }}", "there is no test named 'nothing'"},
      {"{% if true %}\n{{ messages[0].nope.more }}{% endif %}",
       "line 2: the chat template cannot be rendered: 'dict object' has no attribute 'nope'"},
      {"{{ nope.more }}", "'nope' is undefined"},
      {"{{ messages.append(1) }}", "access to attribute 'append' of 'list' object is unsafe"},
      {"{% if x %}", "unexpected end of template: 'endif' is missing for the tag of line 1"},
      {"{{ 'a", "a string is not closed"},
      {"{# a", "missing end of comment tag"},
      {"{% raw %}", "missing end of raw directive"},
      {"{{ a ! b }}", "unexpected character '!'"},
      {"{{ (1] }}", "unexpected ']', expected ')'"},
      {"{% frob %}", "unknown tag 'frob'"},
      {"{{ 'a' + 1 }}", "unsupported operand type(s) for +: 'str' and 'int'"},
      {"{{ 1 // 0 }}", "division by zero"},
      {"{{ 'a'.strip(1, 2) }}", "strip() takes at most 1 arguments (2 given)"},
      {"{{ 'a'.replace('b') }}", "replace() misses the argument 'new'"},
      {"{{ 1|default(x=2) }}", "default() takes no keyword argument 'x'"},
      {"{% set a, b = 1 %}", "cannot unpack non-iterable int object"},
      {"{{ range(100001) }}", "range too big"},
      {"{{ {[1]: 2} }}", "unhashable type: 'list'"},
      {"\xff", "it is not UTF-8"},
  };
  for (const Row& row : rows) {
    const std::string error = error_of(row.source);
    INFO(row.source << " -> " << error);
    CHECK(has(error, row.part));
    CHECK(has(error, "t: "));
  }
}

TEST_CASE("hostile templates end in an error, not in a dead machine") {
  std::string deep(100000, '(');
  std::string nots;
  for (int i = 0; i < 50000; ++i) nots += "not ";
  std::string sum = "{{ 1";
  for (int i = 0; i < 50000; ++i) sum += "+1";
  std::string ifs;
  for (int i = 0; i < 5000; ++i) ifs += "{% if 1 %}";
  const std::pair<std::string, const char*> rows[] = {
      {"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
       "too many steps"},
      {"{% for a in range(100000) %}{{ 'x' * 1000 }}{% endfor %}",
       "the rendered text grows too long"},
      {"{{ 'x' * 999999999999 }}", "a string of the template grows too long"},
      {"{{ [1] * 999999999999 }}", "a list of the template grows too long"},
      {"{{ 'a'.center(99999999999) }}", "a string of the template grows too long"},
      {"{{ '%99999999999d' % 1 }}", "a format is too wide"},
      {"{{ '{:99999999999}'.format(1) }}", "a format is too wide"},
      {"{% set x = 'aaaaaaaaaaaaaaaa' * 10000 %}{{ x.replace('a', x) }}",
       "a string of the template grows too long"},
      {"{% set ns = namespace(x='x' * 10000000) %}{% for i in range(1000) %}{% set ns.y = ns.x ~ i "
       "%}{% endfor %}",
       "too much memory"},
      {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recurses too deep"},
      {"{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor "
       "%}",
       "values are nested too deep"},
      {"{% set ns = namespace() %}{% for i in range(1000) %}{% for j in [ns.l] %}{% set ns.l = "
       "loop %}{% endfor "
       "%}{% endfor %}",
       "values are nested too deep"},
      {"{% for i in range(100000) %}{% set ns = namespace() %}{% set ns = namespace() %}{% endfor "
       "%}",
       "too many namespaces"},
      {"{{ " + deep, "nested too deep"},
      {"{{ " + nots + "1 }}", "nested too deep"},
      {sum + " }}", "too long"},
      {ifs, "nested too deep"},
      {std::string((4 << 20) + 1, 'x'), "longer than 4 MiB"},
  };
  for (const auto& [source, part] : rows) {
    const std::string error = error_of(source);
    INFO(source.substr(0, 80) << " -> " << error);
    CHECK(has(error, part));
    CHECK(has(error, "the chat template is refused"));
  }
  // Cycles are taken apart at the end; the sanitizer build would report what is left.
  CHECK(
      outcome_of("{% set ns = namespace() %}{% set ns.self = ns %}{% macro m() %}{% endmacro %}ok",
                 kUser, Json::object())
          .text == "ok");
}

TEST_CASE("bad messages are refused") {
  const std::string source = "{{ messages }}";
  CHECK(has(error_of(source, Json::array()), "the conversation is empty"));
  CHECK(has(error_of(source, Json("hi")), "messages is not a list"));
  CHECK(has(error_of(source, Json::array({"hi"})), "a message is not an object"));
  CHECK(has(error_of(source, kUser, {{"tools", {1}}}), "tools is not a list of objects"));
  CHECK(has(error_of(source, kUser, {{"documents", "x"}}), "documents is not a list of objects"));
  CHECK(has(error_of(source, kUser, {{"extra", {{"messages", 1}}}}),
            "a template variable is given twice"));
  CHECK(has(error_of(source, Json::array({{{"content", 18446744073709551615ULL}}})),
            "more than 64 bits"));
  CHECK(has(error_of(source, Json::array({{{"content", "\xff"}}})), "not UTF-8"));
}

TEST_CASE("a template's file is found as transformers finds it") {
  const TempDir dir;
  const auto text = [&](bool with_tools) {
    ChatTemplate::Options options;
    if (with_tools) options.tools = Json::array({{{"name", "f"}}});
    return ChatTemplate::from_folder(dir.path()).value().render(kUser, options);
  };
  CHECK(!ChatTemplate::from_folder(dir.path()));
  dir.write("tokenizer_config.json", "{}");
  CHECK(!ChatTemplate::from_folder(dir.path()));
  dir.write("tokenizer_config.json", R"({"chat_template": "one"})");
  CHECK(text(false) == "one");
  dir.write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "two"}, {"name": "tool_use", "template": "tools"}]})");
  CHECK(text(false) == "two");
  CHECK(text(true) == "tools");
  CHECK(ChatTemplate::from_folder(dir.path())->source() == "two");
  dir.write("chat_template.jinja", "three\n");
  CHECK(text(true) == "three");
  dir.write("additional_chat_templates/tool_use.jinja", "four");
  CHECK(text(true) == "four");
  CHECK(text(false) == "three");

  const TempDir bad;
  const auto error = [&](const char* config) {
    bad.write("tokenizer_config.json", config);
    try {
      (void)ChatTemplate::from_folder(bad.path());
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(has(error(R"({"chat_template": 5})"), "a chat template of this type is not known"));
  CHECK(has(error(R"({"chat_template": [{"name": "x", "template": "y"}]})"), "has no default"));
  CHECK(has(error(R"({"chat_template": [{"name": "default"}]})"), "/chat_template/0"));
  CHECK(has(error(R"({"chat_template": "a\n{% if"})"),
            "tokenizer_config.json (chat_template): line 2"));
}

TEST_CASE("special tokens are those of transformers' special_tokens_map") {
  const Json values = golden()["special_tokens"];
  REQUIRE(values["cases"].size() >= 15);
  for (const Json& entry : values["cases"]) {
    INFO(entry["name"]);
    const TempDir dir;
    for (const auto& [file, content] : entry["files"].items()) dir.write(file, content.dump());
    const SpecialTokens tokens = SpecialTokens::from_folder(dir.path());
    std::map<std::string, std::string> expected;
    entry["special_tokens_map"].get_to(expected);
    CHECK(tokens.by_name == expected);
    ChatTemplate::Options options;
    options.special_tokens = tokens;
    const auto text =
        ChatTemplate::from_source(values["template"], "t").render(values["messages"], options);
    CHECK(text == entry["text"]);
  }
}

TEST_CASE("special tokens may be objects without a type, and malformed ones are refused") {
  const TempDir dir;
  const auto names = [&](const char* config) {
    dir.write("tokenizer_config.json", config);
    return SpecialTokens::from_folder(dir.path()).by_name;
  };
  // As transformers 4 wrote them; transformers 5 refuses the file.
  CHECK(names(R"({"bos_token": {"content": "<b>"}})").at("bos_token") == "<b>");
  const auto error = [&](const char* config) {
    try {
      (void)names(config);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const char* const wrong = "a special token is neither a string nor an object";
  CHECK(has(error(R"({"bos_token": 5})"), std::string("/bos_token: ") + wrong));
  CHECK(has(error(R"({"extra_special_tokens": {"image_token": 5}})"),
            std::string("/extra_special_tokens/image_token: ") + wrong));
  CHECK(has(error(R"({"extra_special_tokens": "<a>"})"),
            "extra special tokens are neither a list nor a table"));

  ChatTemplate::Options options;
  options.special_tokens.by_name = {{"tools", "<tools>"}};
  try {
    (void)ChatTemplate::from_source("{{ tools }}", "t").render(kUser, options);
    FAIL("a token took the place of the tools");
  } catch (const Error& e) {
    CHECK(has(e.what(), "a special token has the name of a template variable"));
  }
}

TEST_CASE("a template that prints the date says so") {
  const auto dated = ChatTemplate::from_source("{{ strftime_now('%Y') }}", "t");
  CHECK(dated.uses_clock());
  CHECK(!ChatTemplate::from_source("{{ 'strftime_now' }}", "t").uses_clock());
  // Without a given time the machine's clock is read: four digits, whatever the year.
  const std::string year = dated.render(kUser, {});
  CHECK(year.size() == 4);
  CHECK(year >= "2025");
}

}  // namespace loraproof::text
