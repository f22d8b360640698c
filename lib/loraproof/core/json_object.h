// SPDX-License-Identifier: Apache-2.0
// Typed access to one JSON object of a file, that names file and key on failure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "loraproof/core/error.h"
#include "loraproof/core/json_fwd.h"

namespace loraproof {

/// A view of one JSON object with the file and JSON pointer it came from, so that every accessor
/// can say where a value of the wrong type stood. Holds references: the document must outlive it.
class JsonObject {
 public:
  /// Throws an input Error unless `value` is an object.
  JsonObject(const Json& value, std::string_view file, std::string pointer = "");

  [[nodiscard]] const Json& json() const { return *value_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] std::string pointer_to(std::string_view key) const;

  /// True when the key is present and not null.
  [[nodiscard]] bool has(std::string_view key) const;
  /// The value, or nullptr when the key is absent or null.
  [[nodiscard]] const Json* find(std::string_view key) const;

  /// Required values: an input Error names the pointer, the expected type and what was found.
  [[nodiscard]] std::string string(std::string_view key) const;
  [[nodiscard]] std::int64_t integer(std::string_view key) const;
  [[nodiscard]] double number(std::string_view key) const;
  [[nodiscard]] bool boolean(std::string_view key) const;
  [[nodiscard]] JsonObject object(std::string_view key) const;

  /// Optional values: the fallback when absent or null; a wrong type is still an Error.
  [[nodiscard]] std::string string_or(std::string_view key, std::string_view fallback) const;
  [[nodiscard]] std::int64_t integer_or(std::string_view key, std::int64_t fallback) const;
  [[nodiscard]] double number_or(std::string_view key, double fallback) const;
  [[nodiscard]] bool boolean_or(std::string_view key, bool fallback) const;

  /// An input Error about this key, ready to throw.
  [[nodiscard]] Error error(std::string_view key, std::string message, std::string expected = "",
                            std::string found = "", std::string hint = "") const;

 private:
  const Json* value_;
  std::string file_;
  std::string pointer_;
};

}  // namespace loraproof
