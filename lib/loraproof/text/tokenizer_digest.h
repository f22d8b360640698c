// SPDX-License-Identifier: Apache-2.0
// Digests of what a tokenizer.json means, field by field, so that a comparison can name the first
// field that differs.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace loraproof::text {

/// JSON pointer → "sha256:...". Keys: /model/<field>, /normalizer, /pre_tokenizer, /post_processor,
/// /decoder, /added_tokens/<content> (with ~0 and ~1 escapes). Key order, white space, the two
/// spellings of merges and absent against default BPE options make no difference; version,
/// truncation, padding and trim_offsets (it moves offsets, never ids) are left out. Works for any
/// model type, supported or not.
[[nodiscard]] std::map<std::string, std::string> tokenizer_field_digests(
    const std::filesystem::path& tokenizer_json);
[[nodiscard]] std::map<std::string, std::string> tokenizer_field_digests(std::string_view text,
                                                                         std::string_view file);

}  // namespace loraproof::text
