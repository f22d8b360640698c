// SPDX-License-Identifier: Apache-2.0
// What one row of logits says, read in two passes instead of one per question: pure functions on
// spans. A NaN among the logits makes every number of the row NaN.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace loraproof::stats {

/// V logits, boiled down. `weights` are exp(logit - largest), kept for questions about the mass.
struct LogitRow {
  std::span<const float> logits;  ///< [V], not empty
  std::vector<float> weights;     ///< [V]
  std::int32_t best = 0;          ///< first index of the largest logit (of the first NaN)
  float largest = 0;
  float second = 0;    ///< largest logit beside `best`'s; equal to `largest` on a tie
  double log_sum = 0;  ///< log of the sum of weights: log-probability = logit - largest - log_sum

  [[nodiscard]] float logprob(std::int32_t id) const;
  /// Logit of `id` minus the best other logit: positive for a clear argmax.
  [[nodiscard]] float gap(std::int32_t id) const;
  /// Log of the probability outside of `ids` (any order, repetitions allowed); -inf where they
  /// leave nothing. Summed over what is outside: one minus the rest would cancel.
  [[nodiscard]] float tail_logprob(std::span<const std::int32_t> ids);
  /// The ids of the k most probable tokens, the most probable first, the lower id on equal logits.
  [[nodiscard]] std::vector<std::int32_t> top(std::size_t k) const;
};

/// Reads `logits` into `row`, whose buffers are used again.
void read_logits(std::span<const float> logits, LogitRow& row);

}  // namespace loraproof::stats
