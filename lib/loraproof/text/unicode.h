// SPDX-License-Identifier: Apache-2.0
// UTF-8 and character classes exactly as Hugging Face `tokenizers` has them (it mixes Unicode
// versions, so no general library agrees with it). Not a Unicode library: only what its tokenisers
// use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "loraproof/text/unicode_tables.h"

namespace loraproof::text {

/// Class bits of a code point; the order is fixed by scripts/generate_unicode_tables.py.
enum CharFlag : std::uint16_t {
  kLetter = 1 << 0,               ///< \p{L} of the regex engine.
  kNumber = 1 << 1,               ///< \p{N}
  kSpace = 1 << 2,                ///< \s
  kUpperish = 1 << 3,             ///< [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
  kLowerish = 1 << 4,             ///< [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  kPunctuationOrSymbol = 1 << 5,  ///< [\p{P}\p{S}]
  kMark = 1 << 6,                 ///< \p{M}
  kDigit = 1 << 7,                ///< What the Digits pre-tokenizer takes (a newer Unicode's N).
  kPunctuation = 1 << 8,          ///< What the Punctuation pre-tokenizer takes (an older table).
  kWord = 1 << 9,                 ///< \w, the neighbour test of single_word added tokens.
  kNfcRelevant = 1 << 10,         ///< A text without such a character is its own NFC.
};

[[nodiscard]] inline std::uint16_t flags_of(char32_t c) {
  const std::size_t block = tables::kBlockOfCodePoint[c >> tables::kBlockBits];
  const std::size_t offset = c & ((1U << tables::kBlockBits) - 1);
  return tables::kFlagsOfKind[tables::kKindOfBlock[(block << tables::kBlockBits) | offset]];
}

/// A decoded character and the position after it.
struct DecodedChar {
  char32_t code = 0;
  std::size_t end = 0;
};

/// The character at `pos` of *valid* UTF-8, pos < text.size().
[[nodiscard]] inline DecodedChar decode_at(std::string_view text, std::size_t pos) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const char32_t lead = at(pos);
  if (lead < 0x80) return {lead, pos + 1};
  if (lead < 0xE0) return {((lead & 0x1F) << 6) | (at(pos + 1) & 0x3FU), pos + 2};
  if (lead < 0xF0) {
    return {((lead & 0x0F) << 12) | ((at(pos + 1) & 0x3FU) << 6) | (at(pos + 2) & 0x3FU), pos + 3};
  }
  return {((lead & 0x07) << 18) | ((at(pos + 1) & 0x3FU) << 12) | ((at(pos + 2) & 0x3FU) << 6) |
              (at(pos + 3) & 0x3FU),
          pos + 4};
}

/// Where the character that ends at `pos` (0 < pos <= size, valid UTF-8) begins.
[[nodiscard]] inline std::size_t previous_start(std::string_view text, std::size_t pos) {
  do --pos;
  while ((static_cast<unsigned char>(text[pos]) & 0xC0) == 0x80);
  return pos;
}

/// Length of the longest prefix that is valid UTF-8 (no surrogates, no overlong forms).
[[nodiscard]] std::size_t valid_utf8_prefix(std::string_view text);
[[nodiscard]] inline bool is_valid_utf8(std::string_view text) {
  return valid_utf8_prefix(text) == text.size();
}

void append_utf8(std::string& out, char32_t code);

/// The text with one U+FFFD for each maximal invalid subpart (the WHATWG rule).
[[nodiscard]] std::string lossy_utf8(std::string_view bytes);

}  // namespace loraproof::text
