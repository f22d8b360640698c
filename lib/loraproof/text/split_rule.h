// SPDX-License-Identifier: Apache-2.0
// The regular expressions that decoder language models split text by, as hand-written scanners
// chosen by the exact pattern text. A pattern without a scanner is refused, never approximated.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace loraproof::text {

enum class SplitRule {
  Gpt2,            ///< GPT-2, SmolLM2, GPT-NeoX.
  Llama3,          ///< Llama 3, cl100k.
  Qwen2,           ///< Qwen 1.5 to 3: Llama 3 with single digits.
  O200k,           ///< gpt-4o, gpt-oss.
  Tekken,          ///< Mistral NeMo: o200k without contractions, single digits.
  DeepSeekNumber,  ///< \p{N}{1,3}
  DeepSeekCjk,     ///< Runs of ideographs and kana.
  DeepSeekWord,
  ThreeDigits,  ///< [0-9][0-9][0-9] (Falcon).
};

/// The scanner for a pattern, or nothing when there is none.
[[nodiscard]] std::optional<SplitRule> split_rule_of(std::string_view regex);

/// Names of the known patterns, for messages.
[[nodiscard]] std::string known_split_rules();

/// End of the match that starts exactly at `pos` (pos < text.size(), valid UTF-8), or `pos` when
/// the pattern does not match there. No rule matches an empty string.
[[nodiscard]] std::size_t match_end(SplitRule rule, std::string_view text, std::size_t pos);

}  // namespace loraproof::text
