// SPDX-License-Identifier: Apache-2.0
// Runs the lanes of a job in one sweep and compares each with its reference.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loraproof/commands/golden_job.h"
#include "loraproof/golden/compare.h"
#include "loraproof/golden/reference.h"

namespace loraproof::commands {

/// A lane against a reference.
struct LaneTask {
  const AdapterSession* adapter = nullptr;  ///< null: the base alone
  const golden::Reference* reference = nullptr;
};

struct LaneResult {
  golden::GoldenDiff diff;
  double tie_margin = 0;
  /// Per prompt the tokens of the greedy answer now.
  std::vector<std::vector<std::int32_t>> answers;
};

/// Everything that one lane is asked: its answers so far, and the expected ones where they are
/// judged. One result per task, in order; `prompt_ids` as tokenise() returns them.
[[nodiscard]] std::vector<LaneResult> run_lanes(
    const GoldenJob& job, std::span<const LaneTask> tasks,
    const std::vector<std::vector<std::int32_t>>& prompt_ids, engine::LayerStore& store,
    Progress& progress);

/// Where the greedy answer to a prompt becomes another one; nothing where it doesn't.
struct Leaving {
  std::int64_t position = 0;  ///< in the answer
  std::int32_t token = 0;     ///< preferred there now
};

/// What each prompt that a lane leaves says now: the recorded answer up to the first difference,
/// the token that is preferred now, and from there greedy decoding. Other prompts: the recorded
/// answer.
[[nodiscard]] std::vector<std::vector<std::int32_t>> answers_now(
    engine::LayerStore& store, const engine::Lane& lane, const golden::Reference& reference,
    std::span<const golden::Sequence> sequences, std::span<const std::optional<Leaving>> leaves,
    Progress& progress);

/// Answers as text, in order.
[[nodiscard]] std::vector<std::string> answer_texts(
    const TextInput& text, const std::vector<std::vector<std::int32_t>>& answers);
/// The recorded answers as text.
[[nodiscard]] std::vector<std::string> recorded_texts(const TextInput& text,
                                                      const golden::Reference& reference);

/// The figures that a reference keeps of the base alone: `diff` and `texts` of its lane.
[[nodiscard]] golden::BaseFigures base_figures_of(const golden::Suite& suite,
                                                  const golden::GoldenDiff& diff,
                                                  const std::vector<std::string>& texts);

}  // namespace loraproof::commands
