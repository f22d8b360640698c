// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/chat_template.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/text/jinja/evaluator.h"
#include "loraproof/text/jinja/parser.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text {
namespace {

namespace fs = std::filesystem;
using jinja::Failure;
using jinja::FailureKind;
using jinja::Value;

// SPECIAL_TOKENS_ATTRIBUTES of transformers' tokenization_utils_base.py.
constexpr std::array<std::string_view, 7> kStandardTokens = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

/// A template chooses its names and messages; the report should not suffer from their length.
constexpr std::size_t kMaxMessage = 1000;

Error to_error(const Failure& failure, const std::string& file, const char* doing) {
  ErrorDetail detail;
  detail.file = file;
  if (failure.line() != 0) detail.where = "line " + std::to_string(failure.line());
  std::string what = failure.what();
  if (what.size() > kMaxMessage) {
    what.resize(kMaxMessage);
    while (!jinja::valid_utf8(what)) what.pop_back();
    what += "...";
  }
  switch (failure.kind()) {
    case FailureKind::Error:
      detail.message = std::string("the chat template cannot be ") + doing + ": " + what;
      break;
    case FailureKind::Raised:
      detail.message = "the chat template refuses this conversation: " + what;
      break;
    case FailureKind::Unsupported:
      detail.message = "the chat template uses " + what + ", which is not implemented";
      break;
    case FailureKind::Limit: detail.message = "the chat template is refused: " + what; break;
  }
  return input_error(detail);
}

Error bad_messages(std::string message, std::string found) {
  ErrorDetail detail;
  detail.message = std::move(message);
  detail.expected = "a list of objects with role and content";
  detail.found = std::move(found);
  return input_error(detail);
}

constexpr std::array<const char*, 3> kReasoning = {"reasoning_content", "thinking", "reasoning"};

/// One message as the template sees it: no nulls, reasoning under the names that templates read.
Value prepare(const Json& message) {
  Value::Pairs pairs;
  const Json* reasoning = nullptr;
  for (const char* name : kReasoning) {
    const auto it = message.find(name);
    if (reasoning == nullptr && it != message.end() && !it->is_null()) reasoning = &*it;
  }
  if (reasoning != nullptr)
    pairs.emplace_back(Value::string("thinking"), Value::from_json(*reasoning));
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) pairs.emplace_back(Value::from_json(Json(key)), Value::from_json(value));
  }
  if (reasoning != nullptr) {
    pairs.emplace_back(Value::string("reasoning_content"), Value::from_json(*reasoning));
  }
  return Value::dict(std::move(pairs));
}

Value prepare_messages(const Json& messages) {
  if (!messages.is_array()) throw bad_messages("messages is not a list", brief(messages));
  if (messages.empty()) throw bad_messages("the conversation is empty", "[]");
  Value::Items out;
  for (const Json& message : messages) {
    if (!message.is_object()) throw bad_messages("a message is not an object", brief(message));
    out.push_back(prepare(message));
  }
  return Value::list(std::move(out));
}

Value prepare_objects(const Json& list, const char* name) {
  if (list.is_null()) return Value::none();
  const auto bad = [&](const Json& found) {
    ErrorDetail detail;
    detail.message = std::string(name) + " is not a list of objects";
    detail.found = brief(found);
    return input_error(detail);
  };
  if (!list.is_array()) throw bad(list);
  for (const Json& item : list) {
    if (!item.is_object()) throw bad(item);
  }
  return Value::from_json(list);
}

std::vector<std::pair<std::string, Value>> make_context(const Json& messages,
                                                        const ChatTemplate::Options& options) {
  std::vector<std::pair<std::string, Value>> context;
  context.emplace_back("messages", prepare_messages(messages));
  context.emplace_back("tools", prepare_objects(options.tools, "tools"));
  context.emplace_back("documents", prepare_objects(options.documents, "documents"));
  context.emplace_back("add_generation_prompt", Value::boolean(options.add_generation_prompt));
  const std::size_t reserved = context.size();
  const auto is_reserved = [&](const std::string& name) {
    return std::any_of(context.begin(), context.begin() + static_cast<std::ptrdiff_t>(reserved),
                       [&](const auto& variable) { return variable.first == name; });
  };
  if (!options.extra.is_null()) {
    const JsonObject extra(options.extra, "", "/extra");
    for (const auto& [key, value] : extra.json().items()) {
      if (is_reserved(key)) throw extra.error(key, "a template variable is given twice");
      context.emplace_back(key, Value::from_json(value));
    }
  }
  // Last, because the first of two equal names is found: extra variables override tokens.
  for (const auto& [name, token] : options.special_tokens.by_name) {
    if (is_reserved(name)) {
      throw input_error({.message = "a special token has the name of a template variable",
                         .found = name,
                         .hint = "give the token another name in tokenizer_config.json"});
    }
    context.emplace_back(name, Value::string(token));
  }
  return context;
}

std::string token_text(const Json& value, const JsonObject& parent, const char* key) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object())
    return JsonObject(value, parent.file(), parent.pointer_to(key)).string("content");
  throw parent.error(key, "a special token is neither a string nor an object with \"content\"", "",
                     brief(value));
}

using Names = std::map<std::string, std::string>;

// The standard tokens that `object` names; null takes a token away.
void read_standard(const JsonObject& object, Names& tokens) {
  for (const std::string_view name : kStandardTokens) {
    const std::string key(name);
    const auto it = object.json().find(key);
    if (it == object.json().end()) continue;
    tokens.erase(key);
    if (!it->is_null()) tokens[key] = token_text(*it, object, key.c_str());
  }
}

// Keys of the model's own that end in _token. In the config an object is a token only where it says
// so ("__type"); in the map file each is one.
Names read_own(const JsonObject& object, bool is_map_file) {
  Names own;
  for (const auto& [key, value] : object.json().items()) {
    if (!key.ends_with("_token") || std::ranges::count(kStandardTokens, key) > 0) continue;
    const bool token_object =
        value.is_object() && (is_map_file || value.value("__type", Json()) == "AddedToken");
    if (value.is_string() || token_object) own[key] = token_text(value, object, key.c_str());
  }
  return own;
}

// A table {name: token} at `key`; a list there holds tokens without a name.
Names read_table(const JsonObject& object, const char* key) {
  Names table;
  const Json* value = object.find(key);
  if (value == nullptr || value->is_null() || value->is_array()) return table;
  if (!value->is_object())
    throw object.error(key, "extra special tokens are neither a list nor a table", "",
                       brief(*value));
  const JsonObject entries(*value, object.file(), object.pointer_to(key));
  for (const auto& [name, token] : value->items())
    table[name] = token_text(token, entries, name.c_str());
  return table;
}

void put(const Names& from, Names& into) {
  for (const auto& [name, token] : from) into[name] = token;
}

}  // namespace

// In the order in which from_pretrained and __init__ of tokenization_utils_base.py lay one over the
// other (transformers 5.23).
SpecialTokens SpecialTokens::from_folder(const fs::path& folder) {
  Names standard, own, tables;
  const fs::path config = folder / "tokenizer_config.json";
  bool with_map_file = true;
  if (fs::exists(config)) {
    const Json json = read_json_file(config);
    const JsonObject object(json, config.string());
    read_standard(object, standard);
    tables = read_own(object, false);
    const Json* extra = object.find("extra_special_tokens");
    const bool no_extra = extra == nullptr || extra->empty();
    put(read_table(object, no_extra ? "additional_special_tokens" : "extra_special_tokens"),
        tables);
    if (tables.empty()) tables = read_table(object, "model_specific_special_tokens");
    // The map file is legacy, read only where the config has no table of added tokens.
    with_map_file = !object.has("added_tokens_decoder");
  }
  const fs::path map_file = folder / "special_tokens_map.json";
  if (with_map_file && fs::exists(map_file)) {
    const Json json = read_json_file(map_file);
    const JsonObject object(json, map_file.string());
    read_standard(object, standard);
    own = read_own(object, true);
    put(read_table(object, "extra_special_tokens"), tables);
  }
  SpecialTokens out;
  for (const Names& names : {standard, own, tables}) put(names, out.by_name);
  return out;
}

struct ChatTemplate::Parsed {
  std::string source;
  std::string file;
  jinja::Template tree;
};

ChatTemplate ChatTemplate::from_source(std::string source, std::string file) {
  auto parsed = std::make_shared<Parsed>();
  try {
    if (source.size() > jinja::Limits::kSource) jinja::fail_limit("it is longer than 4 MiB");
    if (!jinja::valid_utf8(source)) jinja::fail("it is not UTF-8");
    parsed->tree = jinja::parse_template(source);
  } catch (const Failure& failure) {
    throw to_error(failure, file, "parsed");
  }
  parsed->source = std::move(source);
  parsed->file = std::move(file);
  ChatTemplate out;
  out.main_ = std::move(parsed);
  return out;
}

std::optional<ChatTemplate> ChatTemplate::from_folder(const fs::path& folder) {
  const auto from_file = [](const fs::path& path) {
    return from_source(read_text_file(path, jinja::Limits::kSource), path.string());
  };
  const fs::path beside = folder / "chat_template.jinja";
  if (fs::exists(beside)) {
    ChatTemplate out = from_file(beside);
    const fs::path tools = folder / "additional_chat_templates" / "tool_use.jinja";
    if (fs::exists(tools)) out.tool_use_ = from_file(tools).main_;
    return out;
  }
  const fs::path path = folder / "tokenizer_config.json";
  if (!fs::exists(path)) return std::nullopt;
  const Json json = read_json_file(path);
  const JsonObject config(json, path.string());
  const Json* value = config.find("chat_template");
  if (value == nullptr) return std::nullopt;
  const std::string file = path.string() + " (chat_template)";
  if (value->is_string()) return from_source(value->get<std::string>(), file);
  if (!value->is_array()) {
    throw config.error("chat_template", "a chat template of this type is not known",
                       "a string, or a list of {name, template}", brief(*value));
  }
  std::optional<std::string> main;
  std::optional<std::string> tool_use;
  for (std::size_t i = 0; i < value->size(); ++i) {
    const JsonObject entry((*value)[i], path.string(), "/chat_template/" + std::to_string(i));
    const std::string name = entry.string("name");
    if (name == "default") main = entry.string("template");
    if (name == "tool_use") tool_use = entry.string("template");
  }
  if (!main) {
    throw config.error("chat_template", "the list of chat templates has no default",
                       "an entry named \"default\"");
  }
  ChatTemplate out = from_source(*std::move(main), file + " default");
  if (tool_use) out.tool_use_ = from_source(*std::move(tool_use), file + " tool_use").main_;
  return out;
}

const std::string& ChatTemplate::source() const { return main_->source; }

bool ChatTemplate::uses_clock() const {
  return main_->tree.uses_clock || (tool_use_ && tool_use_->tree.uses_clock);
}

std::string ChatTemplate::render(const Json& messages, const Options& options) const {
  const Parsed& parsed = tool_use_ && !options.tools.is_null() ? *tool_use_ : *main_;
  try {
    jinja::Evaluator evaluator(parsed.tree, make_context(messages, options), options.now);
    return evaluator.run();
  } catch (const Failure& failure) {
    throw to_error(failure, parsed.file, "rendered");
  }
}

}  // namespace loraproof::text
