// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/suite.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <set>

#include "loraproof/core/digest.h"
#include "loraproof/core/json.h"
#include "loraproof/core/suggest.h"
#include "loraproof/core/yaml.h"
#include "loraproof/io/jsonl.h"

namespace loraproof::golden {
namespace {

constexpr std::int64_t kMaxNewTokensLimit = 1 << 20;

void refuse_unknown_keys(const JsonObject& object, const std::vector<std::string>& known) {
  for (const auto& [key, value] : object.json().items()) {
    if (std::ranges::find(known, key) != known.end()) continue;
    const std::string near = nearest_name(key, known);
    throw object.error(key, "unknown key", fmt::format("one of {}", fmt::join(known, ", ")), "",
                       near.empty() ? "" : fmt::format("did you mean '{}'?", near));
  }
}

std::vector<std::int32_t> read_ids(const JsonObject& object, std::string_view key) {
  const Json& list = *object.find(key);
  std::vector<std::int32_t> ids;
  for (const Json& id : list.is_array() ? list : Json::array({list})) {
    const bool fits = id.is_number_integer() && id.get<std::int64_t>() >= 0 &&
                      id.get<std::int64_t>() <= std::numeric_limits<std::int32_t>::max();
    if (!fits) throw object.error(key, "not a token id", "integers from 0", brief(id));
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

// The roles and contents are the template's business; the form is ours.
void check_messages(const JsonObject& line) {
  const Json& messages = *line.find("messages");
  const bool fits =
      messages.is_array() && !messages.empty() &&
      std::ranges::all_of(messages, [](const Json& message) {
        return message.is_object() && message.contains("role") && message["role"].is_string();
      });
  if (!fits) {
    throw line.error("messages", "not a list of chat messages",
                     "[{\"role\": ..., \"content\": ...}, ...]", brief(messages));
  }
}

std::optional<Against> against_of(std::string_view name) {
  for (const auto& choice : kAgainstNames)
    if (choice.name == name) return choice.value;
  return std::nullopt;
}

template <typename Kind>
Kind read_choice(const JsonObject& object, std::string_view key, Kind fallback,
                 std::optional<Kind> (*named)(std::string_view), const char* choices) {
  if (!object.has(key)) return fallback;
  const std::string name = object.string(key);
  if (const auto kind = named(name)) return *kind;
  throw object.error(key, "unknown value", choices, "'" + name + "'");
}

MatchKind read_match(const JsonObject& object, MatchKind fallback) {
  return read_choice(object, "match", fallback, match_kind_of,
                     "exact, normalized, json, contains or regex");
}

GoldenPrompt read_prompt(const JsonObject& line, MatchKind default_match) {
  refuse_unknown_keys(line, {"id", "messages", "prompt", "ids", "expected", "match", "slice"});
  GoldenPrompt prompt;
  const Json* id = line.find("id");
  if (id != nullptr && id->is_number_integer()) {
    prompt.id = id->dump();
  } else {
    prompt.id = line.string("id");
  }
  const int forms = line.has("messages") + line.has("prompt") + line.has("ids");
  if (forms != 1) {
    throw line.error("id", "a prompt needs exactly one form", "one of messages, prompt, ids",
                     fmt::format("{} of them", forms));
  }
  if (line.has("messages")) {
    check_messages(line);
    prompt.messages = *line.find("messages");
  } else if (line.has("prompt")) {
    prompt.prompt = line.string("prompt");
  } else {
    prompt.ids = read_ids(line, "ids");
    if (prompt.ids.empty()) throw line.error("ids", "holds no token ids");
  }
  const MatchKind match = read_match(line, default_match);
  if (line.has("expected")) {
    prompt.expected.emplace(match, line.string("expected"), line.file(),
                            line.pointer_to("expected"));
  } else if (line.has("match")) {
    throw line.error("match", "there is nothing to match", "an \"expected\" beside it");
  }
  prompt.slice = line.string_or("slice", "");
  return prompt;
}

void read_prompts(const std::filesystem::path& file, MatchKind default_match, Suite& suite) {
  std::set<std::string> ids;
  Sha256 digest;
  io::for_each_json_line(file, [&](const Json& json, std::int64_t line_number) {
    const std::string where = fmt::format("line {}", line_number);
    try {
      const JsonObject line(json, file.string());
      GoldenPrompt prompt = read_prompt(line, default_match);
      if (!ids.insert(prompt.id).second)
        throw line.error("id", "two prompts have this id", "", prompt.id);
      suite.prompts.push_back(std::move(prompt));
    } catch (const Error& error) {
      ErrorDetail detail = error.detail();
      detail.where = where + (detail.where.empty() ? "" : ", " + detail.where);
      throw input_error(std::move(detail));
    }
    digest.update(json.dump() + "\n");
  });
  if (suite.prompts.empty()) {
    throw input_error(
        {.message = "the suite holds no prompts",
         .file = file.string(),
         .hint = "write one JSON object per line: {\"id\": \"a\", \"messages\": [...]}"});
  }
  suite.digest = digest.finish();
}

void read_slices(const JsonObject& yaml, Suite& suite) {
  const JsonObject slices = yaml.object("slices");
  for (const auto& item : slices.json().items()) {
    const std::string& name = item.key();
    const bool used = std::ranges::any_of(
        suite.prompts, [&](const GoldenPrompt& prompt) { return prompt.slice == name; });
    if (!used) throw slices.error(name, "no prompt belongs to this slice");
    suite.slices.push_back({name, slices.object(name).json()});
  }
}

// Keys with one value each; the prompts, and what refers to them, are read afterwards.
void read_settings(const JsonObject& yaml, Suite& suite) {
  if (yaml.integer("version") != 1) {
    throw yaml.error("version", "this suite version is not supported", "1",
                     brief(*yaml.find("version")));
  }
  suite.name = yaml.string_or("name", suite.name);
  suite.against = read_choice(yaml, "against", Against::Same, against_of, "same or revision");
  suite.max_new_tokens = yaml.integer_or("max_new_tokens", suite.max_new_tokens);
  if (suite.max_new_tokens < 1 || suite.max_new_tokens > kMaxNewTokensLimit) {
    throw yaml.error("max_new_tokens", "out of range", fmt::format("1 to {}", kMaxNewTokensLimit),
                     std::to_string(suite.max_new_tokens));
  }
  if (yaml.has("stop_ids")) suite.stop_ids = read_ids(yaml, "stop_ids");
  if (yaml.has("stop")) {
    const Json& stop = *yaml.find("stop");
    for (const Json& token : stop.is_array() ? stop : Json::array({stop})) {
      if (!token.is_string())
        throw yaml.error("stop", "not a token", "a string or a list of strings", brief(token));
      suite.stop_tokens.push_back(token.get<std::string>());
    }
  }
  if (yaml.has("limits")) suite.limits = yaml.object("limits").json();
}

}  // namespace

Suite read_suite(const std::filesystem::path& path) {
  Suite suite;
  if (path.extension() == ".jsonl") {
    suite.folder = path.parent_path();
    suite.name = path.stem().string();
    read_prompts(path, MatchKind::Exact, suite);
    return suite;
  }
  const std::filesystem::path bare = path / "prompts.jsonl";
  const std::filesystem::path file = path / "suite.yaml";
  suite.folder = path;
  suite.name = std::filesystem::absolute(path / ".").parent_path().filename().string();
  if (!std::filesystem::exists(file) && std::filesystem::exists(bare)) {
    read_prompts(bare, MatchKind::Exact, suite);
    return suite;
  }
  if (!std::filesystem::exists(file)) {
    throw input_error({.message = "not a golden suite",
                       .file = path.string(),
                       .expected = "a folder with suite.yaml or prompts.jsonl, or a .jsonl file",
                       .hint = "docs/validate.md shows a suite"});
  }
  const Json json = read_yaml_file(file);
  const JsonObject yaml(json, file.string());
  refuse_unknown_keys(yaml, {"version", "name", "prompts", "against", "max_new_tokens", "stop",
                             "stop_ids", "match", "slices", "limits"});
  read_settings(yaml, suite);
  read_prompts(path / yaml.string_or("prompts", "prompts.jsonl"),
               read_match(yaml, MatchKind::Exact), suite);
  if (yaml.has("slices")) read_slices(yaml, suite);
  return suite;
}

}  // namespace loraproof::golden
