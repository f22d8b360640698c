// SPDX-License-Identifier: Apache-2.0
// Reads tokenizer.json. The vocabulary and the merges (hundreds of thousands of strings) go into
// flat storage; the rest becomes ordinary Json. Meaning is not checked here, only form.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loraproof/core/json.h"

namespace loraproof::text {

/// Owns the bytes of many short strings in large blocks; views stay valid when it is moved.
class StringArena {
 public:
  std::string_view add(std::string_view text);

 private:
  std::deque<std::string> blocks_;
};

struct TokenizerDocument {
  struct Entry {
    std::string_view token;
    std::int32_t id = 0;
  };
  using Pair = std::pair<std::string_view, std::string_view>;

  std::string file;
  Json root;  ///< Everything; model.vocab and model.merges are null when they were read flat.
  StringArena arena;         ///< Owns the strings of vocab and merges.
  bool has_vocab = false;    ///< model.vocab was an object.
  bool has_merges = false;   ///< model.merges was an array of "a b" or ["a", "b"].
  std::vector<Entry> vocab;  ///< In file order; duplicate tokens are refused later.
  std::vector<Pair> merges;  ///< In rank order.
};

/// Ids above this are refused, so that a hostile file cannot make id-indexed tables huge.
constexpr std::int32_t kMaxTokenId = (1 << 21) - 1;

/// Throws an input Error (file = `file`) on a syntax error, invalid UTF-8, a duplicate key outside
/// the vocabulary, nesting deeper than 64, a text over 128 MiB, a vocabulary id that is not an
/// integer in [0, kMaxTokenId] or a merge that is not a pair of non-empty strings.
[[nodiscard]] TokenizerDocument parse_tokenizer_document(std::string_view text,
                                                         std::string_view file);

}  // namespace loraproof::text
