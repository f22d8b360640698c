// SPDX-License-Identifier: Apache-2.0
// How sure the overall figures of a GoldenDiff are: an interval over prompts, and the smallest
// effect that so many prompts could have shown. Judges nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "loraproof/golden/compare.h"
#include "loraproof/stats/interval.h"

namespace loraproof::golden {

struct SpreadOptions {
  stats::IntervalOptions interval;
  double alpha = 0.05;  ///< one-sided error of "an effect was found"
  double power = 0.8;   ///< probability with which an effect of the stated size is found
};

/// Nothing where the figure has no samples.
struct Spread {
  std::optional<stats::Interval> interval;
  /// In the unit of the figure, as a distance from what no effect would give.
  std::optional<double> smallest_effect;
};

struct GoldenSpread {
  Spread text, token_agreement, nll, kl_prompt, kl_answer;
  Spread cosine, cosine_mean, cosine_answer, l2, expected_nll;
};
[[nodiscard]] GoldenSpread spread_of(const GoldenDiff& diff, const SpreadOptions& options);

/// A share of prompts, `successes` of `n`: exact interval, smallest share of failures.
[[nodiscard]] Spread share_spread(std::int64_t successes, std::int64_t n,
                                  const SpreadOptions& options);

}  // namespace loraproof::golden
