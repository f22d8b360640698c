// SPDX-License-Identifier: Apache-2.0
// What changed between a recorded reference and an observation: plain numbers, per prompt and
// overall. Judges nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "loraproof/golden/observe.h"
#include "loraproof/golden/reference.h"

namespace loraproof::golden {

/// Where teacher forcing first prefers another token than the reference.
struct Divergence {
  std::int64_t position = 0;     ///< index into the answer
  std::int32_t expected_id = 0;  ///< the reference's token
  std::int32_t found_id = 0;     ///< the argmax now
  double margin = 0;             ///< logit(found) - logit(expected), at least 0
};

struct PromptDiff {
  double cosine_last = 1, cosine_mean = 1, cosine_answer = 1;
  bool same_prompt = true;          ///< the prompt's token ids are the recorded ones
  double l2_last = 0;               ///< |now - reference| / |reference| of embedding_last
  std::optional<double> kl_prompt;  ///< mean over prompt rows, nats; nothing for a
                                    ///< one-token prompt or one with other ids
  std::optional<double> kl_answer;  ///< mean over answer rows
  double kl_answer_max = 0;
  double nll = 0;            ///< mean -log p of the answer's tokens now, nats per token
  double nll_reference = 0;  ///< the same when recorded
  std::int64_t answer_tokens = 0;
  std::int64_t disagreements = 0;  ///< answer positions with another argmax, beyond the tie margin
  std::int64_t ties = 0;           ///< the same, within the tie margin
  std::optional<Divergence> divergence;  ///< the first that is not a tie
  /// NLL of the expected answer, now and when recorded, nats per token; nothing where there is
  /// none. compare() fills in what it can see (the recorded answer is the expected one).
  std::optional<double> expected_nll, expected_nll_reference;
};

/// Means over prompts, n prompts each (kl_* over those that have such rows).
struct GoldenDiff {
  std::vector<PromptDiff> prompts;
  double cosine = 1, cosine_worst = 1, cosine_mean = 1, cosine_answer = 1, l2 = 0;
  double kl_prompt = 0, kl_answer = 0;
  double nll_delta = 0;           ///< mean of nll - nll_reference
  double expected_nll_delta = 0;  ///< mean of expected_nll - expected_nll_reference
  std::int64_t expected_nll_n = 0;
  std::int64_t kl_prompt_n = 0, kl_answer_n = 0;
  std::int64_t answer_tokens = 0, disagreements = 0, ties = 0;
  std::int64_t equal_texts = 0, diverged_texts = 0, tied_texts = 0;  ///< sum = prompts
};

/// The sequences to observe for a comparison: today's prompt ids, followed by the recorded answers.
[[nodiscard]] std::vector<Sequence> sequences_for(
    const Reference& reference, std::span<const std::vector<std::int32_t>> prompt_ids);

/// The reference's topk_ids laid out for the rows of `sequences` [N, k]. Prompt rows of a prompt
/// whose ids have changed have no counterpart and hold zeros, which compare() does not read.
[[nodiscard]] at::Tensor reference_ids_for(const Reference& reference,
                                           std::span<const Sequence> sequences);

/// `observation` is of `sequences` (see sequences_for), with at_reference filled for
/// reference_ids_for. A disagreement counts as a tie when its logit margin is at most `tie_margin`,
/// or when the recording itself was undecided there.
[[nodiscard]] GoldenDiff compare(const Reference& reference, std::span<const Sequence> sequences,
                                 const Observation& observation, double tie_margin);

/// Adds the prompts up: all of them, or those of a slice. At least one.
[[nodiscard]] GoldenDiff add_up(std::vector<PromptDiff> prompts);

/// Mean negative log-probability of each sequence's answer tokens, nats per token; nothing where
/// the answer is empty. `observation` is of `sequences`.
[[nodiscard]] std::vector<std::optional<double>> answer_nll(std::span<const Sequence> sequences,
                                                            const Observation& observation);

/// The floor that a second healthy run shows: `diff` of that run and the change of the answer gaps.
[[nodiscard]] NoiseFloor floor_from(const GoldenDiff& diff, const Reference& reference,
                                    const Observation& recorded, const Observation& second);

}  // namespace loraproof::golden
