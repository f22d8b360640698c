// SPDX-License-Identifier: Apache-2.0
// A golden suite as its author wrote it: the prompts, what is expected, and how to judge. What was
// recorded for it stands in reference.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/golden/against.h"
#include "loraproof/golden/match.h"

namespace loraproof::golden {

/// One line of prompts.jsonl. Exactly one of `messages`, `prompt` and `ids` is given.
struct GoldenPrompt {
  std::string id;                       ///< unique in the suite
  Json messages;                        ///< chat messages for the template, or null
  std::optional<std::string> prompt;    ///< plain text, tokenised with the special tokens HF adds
  std::vector<std::int32_t> ids;        ///< token ids, used as they are
  std::optional<Expectation> expected;  ///< what a right answer meets
  std::string slice;                    ///< group with figures, and possibly limits, of its own
};

/// A named group of prompts with limits of its own, as {check id: {min, max, severity, min_n}}.
struct Slice {
  std::string name;
  Json limits;
};

struct Suite {
  std::filesystem::path folder;  ///< where references/ lies
  std::string name;
  std::vector<GoldenPrompt> prompts;
  std::int64_t max_new_tokens = 64;
  std::vector<std::string> stop_tokens;  ///< added to, or instead of, the model's own stop ids
  std::vector<std::int32_t> stop_ids;
  Against against = Against::Same;
  std::vector<Slice> slices;  ///< those with limits; prompts may name others
  Json limits =
      Json::object();  ///< per check id: {min, max, severity, min_n}, below loraproof.yaml
  std::string digest;  ///< of the prompts' ids and content: which suite a reference is for
};

/// Reads FOLDER/suite.yaml with its prompts file, or a bare FILE.jsonl (name and settings default).
/// Throws an input Error naming file, line and key: unknown keys, duplicate ids, no prompts, an
/// expectation that can't be used, a slice without prompts.
[[nodiscard]] Suite read_suite(const std::filesystem::path& path);

}  // namespace loraproof::golden
