// SPDX-License-Identifier: Apache-2.0
// The building block of log-likelihoods and divergences, without its cancellation.
#pragma once

namespace loraproof::stats {

/// x ln(x / expected) - deviation, where deviation is x - expected: never negative, and accurate
/// relative to itself when x is close to `expected` (Loader 2000, "Fast and accurate computation of
/// binomial probabilities"). The deviation is passed because the caller often knows it exactly.
/// x = 0 gives `expected`. Needs x >= 0 and expected > 0.
[[nodiscard]] double deviance(double x, double expected, double deviation);

}  // namespace loraproof::stats
