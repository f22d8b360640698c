// SPDX-License-Identifier: Apache-2.0
// What a profile needs to know of a tokenizer beside its ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "loraproof/text/tokenizer.h"

namespace loraproof::drift {

class TokenFacts {
 public:
  explicit TokenFacts(const text::Tokenizer& tokenizer);

  /// One more than the largest id.
  [[nodiscard]] std::int32_t id_limit() const { return static_cast<std::int32_t>(flags_.size()); }
  /// The unknown token, "<0xE2>", and tokens whose text is no whole characters.
  [[nodiscard]] bool is_fallback(std::int32_t id) const {
    return (flags_[static_cast<std::size_t>(id)] & kFallback) != 0;
  }
  [[nodiscard]] bool is_special(std::int32_t id) const {
    return (flags_[static_cast<std::size_t>(id)] & kSpecial) != 0;
  }

 private:
  static constexpr std::uint8_t kFallback = 1;
  static constexpr std::uint8_t kSpecial = 2;
  std::vector<std::uint8_t> flags_;
};

/// "sha256:..." over what decides the ids of a text: model, normalizer, pre-tokenizer, added
/// tokens. Post-processor and decoder do not count.
[[nodiscard]] std::string tokenizer_digest(const std::filesystem::path& tokenizer_json);

/// tokenizer.json itself, or the one in this folder.
[[nodiscard]] std::filesystem::path tokenizer_file(const std::filesystem::path& path);

}  // namespace loraproof::drift
