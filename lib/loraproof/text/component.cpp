// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/component.h"

#include <algorithm>

#include "loraproof/core/json.h"
#include "loraproof/text/unicode.h"

namespace loraproof::text {

void require_known_fields(const JsonObject& component,
                          std::initializer_list<std::string_view> known) {
  for (const auto& item : component.json().items()) {
    if (item.key() == "type") continue;
    if (std::find(known.begin(), known.end(), item.key()) == known.end()) {
      throw component.error(item.key(), "this tokenizer option is not supported", "",
                            brief(item.value()), "it could change token ids, so it is not ignored");
    }
  }
}

Error unsupported_type(const JsonObject& component, std::string_view supported) {
  return component.error("type", "this tokenizer component is not supported",
                         std::string(supported), component.string("type"));
}

std::vector<JsonObject> object_list(const JsonObject& parent, std::string_view key) {
  const Json* list = parent.find(key);
  if (list == nullptr || !list->is_array()) {
    throw parent.error(key, "a list is needed here", "an array",
                       list == nullptr ? "nothing" : brief(*list));
  }
  std::vector<JsonObject> out;
  out.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    out.emplace_back((*list)[i], parent.file(), parent.pointer_to(key) + "/" + std::to_string(i));
  }
  return out;
}

std::string literal_pattern(const JsonObject& component) {
  const JsonObject pattern = component.object("pattern");
  if (pattern.has("Regex")) {
    throw pattern.error("Regex", "this regular expression is not supported here",
                        "a String pattern", brief(*pattern.find("Regex")));
  }
  require_known_fields(pattern, {"String"});
  std::string text = pattern.string("String");
  if (text.empty()) throw pattern.error("String", "the pattern is empty");
  return text;
}

std::string one_character(const JsonObject& component, std::string_view key) {
  std::string text = component.string(key);
  if (text.empty() || decode_at(text, 0).end != text.size()) {
    throw component.error(key, "exactly one character is needed", "one character",
                          brief(Json(text)));
  }
  return text;
}

void require_length(std::size_t bytes, std::size_t limit) {
  if (bytes <= limit) return;
  throw input_error({.message = "the tokenizer's Replace or Prepend makes the text too long",
                     .expected = std::to_string(limit) + " bytes at most",
                     .found = std::to_string(bytes) + " bytes"});
}

std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content,
                        std::size_t limit) {
  std::size_t bytes = text.size();
  for (auto at = text.find(pattern); at != std::string_view::npos;
       at = text.find(pattern, at + pattern.size())) {
    bytes += content.size() - pattern.size();  // may wrap on the way: the sum is never negative
  }
  require_length(bytes, limit);
  std::string out;
  out.reserve(bytes);
  for (;;) {
    const std::size_t at = text.find(pattern);
    out.append(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    out.append(content);
    text.remove_prefix(at + pattern.size());
  }
}

}  // namespace loraproof::text
