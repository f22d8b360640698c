// SPDX-License-Identifier: Apache-2.0
// The token strings of a model and their ids, both ways.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "loraproof/text/token_map.h"
#include "loraproof/text/tokenizer_document.h"

namespace loraproof::text {

class Vocabulary {
 public:
  Vocabulary() = default;
  /// Takes the strings over. Refuses a token or an id that stands twice, and an empty vocabulary.
  explicit Vocabulary(TokenizerDocument& document);

  /// -1 when there is none.
  [[nodiscard]] std::int32_t find(std::string_view token) const { return map_.find(token); }
  [[nodiscard]] const TokenMap& map() const { return map_; }
  /// True when some token has this id.
  [[nodiscard]] bool has(std::int64_t id) const {
    return id >= 0 && id < id_limit() && tokens_[static_cast<std::size_t>(id)].data() != nullptr;
  }
  /// The token of an id that has() one.
  [[nodiscard]] std::string_view token(std::int32_t id) const {
    return tokens_[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] std::int32_t size() const { return size_; }
  /// One more than the largest id.
  [[nodiscard]] std::int32_t id_limit() const { return static_cast<std::int32_t>(tokens_.size()); }

 private:
  StringArena arena_;
  TokenMap map_;
  std::vector<std::string_view> tokens_;  // by id; a null view where there is none
  std::int32_t size_ = 0;
};

}  // namespace loraproof::text
