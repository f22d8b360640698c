// SPDX-License-Identifier: Apache-2.0
// Strict JSON for files that other programs wrote. Not a JSON library of its own: nlohmann-json
// parses; this header only adds limits, duplicate-key refusal and good errors, and JsonObject.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "loraproof/core/json_fwd.h"
#include "loraproof/core/json_object.h"

namespace loraproof {

struct JsonLimits {
  std::size_t max_bytes = std::size_t{256} << 20;
  int max_depth = 128;
};

/// Parses one JSON document. Throws an input Error (where = "byte N" or "line N, column M", file =
/// `file`) on a syntax error, a duplicate key in one object, invalid UTF-8, nesting deeper than
/// `limits.max_depth`, or a text longer than `limits.max_bytes`.
[[nodiscard]] Json parse_json(std::string_view text, std::string_view file, JsonLimits limits = {});

/// Reads and parses a file. A missing or unreadable file is an input Error that names the path.
[[nodiscard]] Json read_json_file(const std::filesystem::path& path, JsonLimits limits = {});

/// A short rendering of a JSON value for error messages: at most `max_chars`, strings in quotes.
[[nodiscard]] std::string brief(const Json& value, std::size_t max_chars = 80);

}  // namespace loraproof
