// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/token_decoder.h"

#include "loraproof/core/json.h"
#include "loraproof/text/byte_alphabet.h"
#include "loraproof/text/component.h"
#include "loraproof/text/unicode.h"

namespace loraproof::text {
namespace {

// The byte of "<0xHH>", or -1. The sign of "<0x+F>" is read as tokenizers reads it (Rust's
// from_str_radix).
int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  const int high = token[3] == '+' ? 0 : digit(token[3]);
  const int low = digit(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void decode_byte_fallback(std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (is_valid_utf8(bytes)) {
      out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const int byte = fallback_byte(token); byte >= 0) {
      bytes.push_back(static_cast<char>(byte));
      continue;
    }
    flush();
    out.push_back(std::move(token));
  }
  flush();
  tokens = std::move(out);
}

void decode_byte_level(std::vector<std::string>& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) {
    if (!append_alphabet_bytes(bytes, token)) bytes.append(token);
  }
  tokens.assign(1, lossy_utf8(bytes));
}

std::string joined(const std::vector<std::string>& tokens, std::string_view between) {
  std::string out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out.append(between);
    out.append(tokens[i]);
  }
  return out;
}

void strip(std::string& token, std::string_view character, std::size_t start, std::size_t stop) {
  std::string_view left = token;
  for (std::size_t i = 0; i < start && left.starts_with(character); ++i)
    left.remove_prefix(character.size());
  for (std::size_t i = 0; i < stop && left.ends_with(character); ++i)
    left.remove_suffix(character.size());
  token = std::string(left);
}

}  // namespace

TokenDecoder TokenDecoder::from_json(const Json& node, std::string_view file) {
  TokenDecoder out;
  if (node.is_null()) return out;
  out.none_ = false;
  out.add(JsonObject(node, file, "/decoder"), 0);
  return out;
}

void TokenDecoder::add(const JsonObject& component, int depth) {
  const std::string type = component.string("type");
  if (type == "Sequence" && depth < 8) {
    require_known_fields(component, {"decoders"});
    for (const JsonObject& item : object_list(component, "decoders")) add(item, depth + 1);
  } else if (type == "ByteLevel") {
    require_known_fields(component, {"add_prefix_space", "trim_offsets", "use_regex"});
    steps_.push_back({.kind = Kind::ByteLevel});
  } else if (type == "ByteFallback") {
    require_known_fields(component, {});
    steps_.push_back({.kind = Kind::ByteFallback});
  } else if (type == "Fuse") {
    require_known_fields(component, {});
    steps_.push_back({.kind = Kind::Fuse});
  } else if (type == "Strip") {
    add_strip(component);
  } else if (type == "Replace") {
    require_known_fields(component, {"pattern", "content"});
    steps_.push_back({.kind = Kind::Replace,
                      .pattern = literal_pattern(component),
                      .content = component.string("content")});
  } else if (type == "Metaspace") {
    add_metaspace(component);
  } else {
    throw unsupported_type(component,
                           "ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, Sequence");
  }
}

void TokenDecoder::add_strip(const JsonObject& component) {
  require_known_fields(component, {"content", "start", "stop"});
  Step step{.kind = Kind::Strip, .pattern = one_character(component, "content")};
  for (const char* key : {"start", "stop"}) {
    const std::int64_t count = component.integer(key);
    if (count < 0)
      throw component.error(key, "a count cannot be negative", "0 or more", std::to_string(count));
    (key == std::string_view("start") ? step.start : step.stop) = static_cast<std::size_t>(count);
  }
  steps_.push_back(step);
}

void TokenDecoder::add_metaspace(const JsonObject& component) {
  require_known_fields(component,
                       {"replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  const std::string scheme = component.string_or("prepend_scheme", "always");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    throw component.error("prepend_scheme", "unknown value", "always, first or never", scheme);
  }
  if (!component.boolean_or("add_prefix_space", true) && scheme != "never") {
    throw component.error("add_prefix_space",
                          "it contradicts prepend_scheme (tokenizers refuses this file too)",
                          "prepend_scheme \"never\"", scheme);
  }
  steps_.push_back({.kind = Kind::Metaspace,
                    .pattern = one_character(component, "replacement"),
                    .content = " ",
                    .drop_first = scheme != "never"});
}

void TokenDecoder::apply(const Step& step, std::vector<std::string>& tokens, std::size_t limit) {
  switch (step.kind) {
    case Kind::ByteLevel: return decode_byte_level(tokens);
    case Kind::ByteFallback: return decode_byte_fallback(tokens);
    case Kind::Fuse: tokens.assign(1, joined(tokens, "")); return;
    case Kind::Strip:
      for (std::string& token : tokens) strip(token, step.pattern, step.start, step.stop);
      return;
    case Kind::Replace:
    case Kind::Metaspace:
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        const bool drop = i == 0 && step.drop_first;
        tokens[i] = replace_all(tokens[i], step.pattern, drop ? "" : step.content, limit);
        limit -= tokens[i].size();
      }
      return;
  }
}

std::string TokenDecoder::decode(std::vector<std::string> tokens) const {
  if (none_) return joined(tokens, " ");
  std::size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size();
  // Kept tokens can hold U+FFFD for each byte, so the limit is on what Replace makes, step by step.
  for (const Step& step : steps_) apply(step, tokens, growth_limit(bytes));
  return joined(tokens, "");
}

}  // namespace loraproof::text
