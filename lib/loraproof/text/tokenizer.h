// SPDX-License-Identifier: Apache-2.0
// Tokenisers of decoder language models from tokenizer.json: BPE, byte-level or SentencePiece-like,
// with the same ids as Hugging Face `tokenizers`. What the file asks for and we do not implement is
// refused by name; nothing is approximated. Truncation and padding blocks are ignored, as
// transformers ignores them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/text/word_cache.h"

namespace loraproof::text {

/// Immutable after construction: all members are safe to call from several threads at once.
class Tokenizer {
 public:
  /// Throws an input Error (file, JSON pointer) for a file that is malformed or not supported.
  [[nodiscard]] static Tokenizer from_file(const std::filesystem::path& tokenizer_json);
  [[nodiscard]] static Tokenizer from_json(std::string_view text, std::string_view file);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Token ids of `utf8`. Added tokens inside the text become their ids, as in `tokenizers`. With
  /// `add_special_tokens` also what the post-processor adds (<s> and the like). Throws an input
  /// Error with the byte offset when the text is not valid UTF-8. O(n log n).
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view utf8,
                                                 bool add_special_tokens) const;

  /// The same, appended to `out`, without what the post-processor adds; `cache` belongs to this
  /// tokenizer and the calling thread.
  void encode(std::string_view utf8, WordCache& cache, std::vector<std::int32_t>& out) const;

  /// Text of `ids`. Ids without a token add nothing. Bytes that are not UTF-8 come out as U+FFFD.
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids,
                                   bool skip_special_tokens) const;

  [[nodiscard]] std::optional<std::int32_t> token_to_id(std::string_view token) const;
  /// The token's own spelling ("Ġthe", "<s>"); nothing when no token has the id.
  [[nodiscard]] std::optional<std::string> id_to_token(std::int32_t id) const;
  /// True for added tokens with "special": true.
  [[nodiscard]] bool is_special(std::int32_t id) const;
  /// Number of distinct tokens, added ones included (not the largest id + 1).
  [[nodiscard]] std::int64_t vocab_size() const;
  /// One more than the largest id.
  [[nodiscard]] std::int32_t id_limit() const;
  /// The model's unknown token; nothing when it has none.
  [[nodiscard]] std::optional<std::int32_t> unk_id() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace loraproof::text
