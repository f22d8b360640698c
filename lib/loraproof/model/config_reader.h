// SPDX-License-Identifier: Apache-2.0
// Reads config.json key by key and remembers what was read, so that at the end every key that
// nobody understood can be refused by name.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "loraproof/core/json_object.h"

namespace loraproof::model {

class ConfigReader {
 public:
  explicit ConfigReader(JsonObject object) : object_(std::move(object)) {}

  [[nodiscard]] const JsonObject& object() const { return object_; }

  /// Sizes: integers in [1, 2^31). Absent without a fallback is an Error.
  std::int64_t size(std::string_view key);
  std::int64_t size_or(std::string_view key, std::int64_t fallback);
  double number_or(std::string_view key, double fallback);
  bool flag_or(std::string_view key, bool fallback);
  std::string text_or(std::string_view key, std::string_view fallback);
  /// The value of a key with a meaning of its own (objects, lists), or nullptr.
  const Json* value(std::string_view key);

  /// Refuses the config unless `key` is absent, null, or equal to `only`.
  void require_value(std::string_view key, const Json& only, std::string_view why);

  /// Refuses every key that was neither read nor is known not to change a forward pass.
  void refuse_unknown_keys() const;

 private:
  void mark(std::string_view key) { read_.emplace(key); }
  JsonObject object_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace loraproof::model
