// SPDX-License-Identifier: Apache-2.0
// Values as text: what a template prints, and JSON as Python writes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "loraproof/text/jinja/value.h"

namespace loraproof::text::jinja {

/// str() and repr().
[[nodiscard]] std::string to_text(const Value& value);
[[nodiscard]] std::string to_repr(const Value& value);
[[nodiscard]] std::string repr_string(std::string_view text);
/// repr(float).
[[nodiscard]] std::string repr_float(double d);

struct JsonStyle {
  std::optional<std::string> indent;  ///< One level's indentation.
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
  bool ensure_ascii = false;
};
/// json.dumps().
[[nodiscard]] std::string to_json(const Value& value, const JsonStyle& style);

}  // namespace loraproof::text::jinja
