// SPDX-License-Identifier: Apache-2.0
// Helpers for reading tokenizer.json's components: each is an object with a "type", and every field
// must be one that we implement, so that no option is ever ignored silently.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/json_object.h"

namespace loraproof::text {

/// Throws an input Error naming the first field that is neither "type" nor in `known`.
void require_known_fields(const JsonObject& component,
                          std::initializer_list<std::string_view> known);

/// The refusal of a component type: names the pointer, what was found and what is supported.
[[nodiscard]] Error unsupported_type(const JsonObject& component, std::string_view supported);

/// The elements of a required array of objects; an input Error says which element is wrong.
[[nodiscard]] std::vector<JsonObject> object_list(const JsonObject& parent, std::string_view key);

/// {"String": text} → text (not empty). {"Regex": ...} is refused with its text.
[[nodiscard]] std::string literal_pattern(const JsonObject& component);

/// A string field of exactly one character.
[[nodiscard]] std::string one_character(const JsonObject& component, std::string_view key);

/// How long a tokenizer's rules may make a text of `bytes`, so that a hostile file cannot use up
/// the memory: far more than any real rule needs.
[[nodiscard]] constexpr std::size_t growth_limit(std::size_t bytes) { return 4096 + 64 * bytes; }

/// Throws an input Error when `bytes` is over `limit`.
void require_length(std::size_t bytes, std::size_t limit);

/// Replaces each occurrence of `pattern` (not empty), leftmost first. The result has at most
/// `limit` bytes, else an input Error is thrown before it is made.
[[nodiscard]] std::string replace_all(std::string_view text, std::string_view pattern,
                                      std::string_view content, std::size_t limit);

}  // namespace loraproof::text
