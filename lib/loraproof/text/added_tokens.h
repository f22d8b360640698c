// SPDX-License-Identifier: Apache-2.0
// Added tokens: texts that become one id before anything else looks at the text. Those that are not
// "normalized" are searched in the raw text, the others in the normalised pieces between them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "loraproof/core/json_fwd.h"
#include "loraproof/text/normalizer.h"

namespace loraproof::text {

struct AddedToken {
  std::string content;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = false;
  bool special = false;
  friend bool operator==(const AddedToken&, const AddedToken&) = default;
};

/// A set of needles found leftmost-longest. O(n · longest needle) at worst.
class NeedleTrie {
 public:
  /// False when the needle is there already or empty.
  bool insert(std::string_view needle, std::int32_t id);
  [[nodiscard]] bool empty() const { return nodes_.size() == 1; }

  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::int32_t id = -1;  // -1: nothing found
  };
  [[nodiscard]] Match find(std::string_view text, std::size_t from) const;

 private:
  struct Node {
    std::int32_t child = -1;    // first child
    std::int32_t sibling = -1;  // next child of the same parent
    std::int32_t id = -1;
    unsigned char byte = 0;
  };
  [[nodiscard]] std::int32_t child_of(std::int32_t node, unsigned char byte) const;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  bool first_bytes_[256] = {};
};

class AddedTokens {
 public:
  /// `list`: the "added_tokens" array (or null). `vocab_id` gives a token's id in the model or -1.
  /// Ids are assigned as `tokenizers` does it: the model's, else the next free number from
  /// `vocab_size` in file order; the declared id is not used.
  [[nodiscard]] static AddedTokens from_json(
      const JsonObject& root, const Normalizer& normalizer,
      const std::function<std::int32_t(std::string_view)>& vocab_id, std::int32_t vocab_size);

  struct Piece {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::int32_t id = -1;  // -1: text between tokens
  };
  /// Cuts `text` into tokens and non-empty text pieces.
  [[nodiscard]] std::vector<Piece> split(std::string_view text, bool normalized) const;
  [[nodiscard]] bool any(bool normalized) const {
    return !(normalized ? normalized_ : raw_).empty();
  }

  /// -1 when there is none.
  [[nodiscard]] std::int32_t id_of(std::string_view content) const;
  [[nodiscard]] const AddedToken* find(std::int32_t id) const;
  /// What decoding turns the id into (the normalised content, for a normalized token); null: not
  /// added.
  [[nodiscard]] const std::string* decoded_text(std::int32_t id) const;
  [[nodiscard]] bool is_special_text(std::string_view text) const;
  /// Number of tokens that the model's vocabulary lacks.
  [[nodiscard]] std::int64_t beyond_vocab() const { return beyond_vocab_; }

 private:
  struct Known {
    AddedToken token;
    std::string decoded;
  };
  void add(const AddedToken& token, std::int32_t id, const Normalizer& normalizer);
  void build_tries(const JsonObject& root);

  NeedleTrie raw_;
  NeedleTrie normalized_;
  std::unordered_map<std::int32_t, Known> by_id_;
  std::unordered_map<std::string, std::int32_t> by_content_;
  std::unordered_set<std::string> special_;
  std::vector<std::int32_t> order_;
  std::int64_t beyond_vocab_ = 0;
};

}  // namespace loraproof::text
