// SPDX-License-Identifier: Apache-2.0
// Tails of counts: hypergeometric, binomial, and Fisher's exact test of two shares. Point
// probabilities come from the saddle-point form of Loader (2000) with deviations in integer
// arithmetic; tails are summed from the count outwards, or integrated with Gregory's end correction
// where hundreds of terms would matter. No approximation by another distribution takes place.
//
// Largest relative error against mpmath on 362 cases (tests/oracles/count_tails.py, table in
// docs/drift_statistics.md): 6e-13 for counts up to 1e12 and probabilities down to 1e-300; 2e-12 is
// promised. A probability becomes 0 only where a double cannot hold it.
#pragma once

#include <cstdint>

namespace loraproof::stats {

/// Probabilities around one count k of a random count X.
struct CountTails {
  double point = 0;  ///< P(X = k)
  double lower = 0;  ///< P(X <= k)
  double upper = 0;  ///< P(X >= k)

  /// 2 min(P(X < k) + P(X = k) / 2, P(X > k) + P(X = k) / 2): two-sided by doubling the smaller
  /// mid-p (Lancaster 1961). At most 1.
  [[nodiscard]] double two_sided_mid_p() const;
};

/// `drawn` items taken without replacement from `total`, of which `marked` bear a mark; the count
/// is how many marked ones were drawn.
struct Draw {
  std::int64_t total = 0;
  std::int64_t marked = 0;
  std::int64_t drawn = 0;
};

/// `a` of `n` reference prompts and `b` of `m` window prompts show something (hold a token).
struct TwoShares {
  std::int64_t a = 0;
  std::int64_t n = 0;
  std::int64_t b = 0;
  std::int64_t m = 0;
};

/// Tails of the hypergeometric distribution. Any k is allowed; outside of the support `point` is 0.
/// Counts must lie in 0 <= marked, drawn <= total <= 2^52, else an internal Error.
[[nodiscard]] CountTails hypergeometric_tails(const Draw& draw, std::int64_t k);

/// Tails of the binomial distribution of `n` trials with probability `p`. 0 <= n <= 2^52 and 0 <= p
/// <= 1, else an internal Error.
[[nodiscard]] CountTails binomial_tails(std::int64_t n, double p, std::int64_t k);

/// P(X = k) alone.
[[nodiscard]] double binomial_probability(std::int64_t n, double p, std::int64_t k);

/// Two-sided mid-p of Fisher's exact test that both shares are equal, given a + b: the tails of b
/// under Draw{n + m, a + b, m}. 1 when a side is empty or a + b is 0 or n + m.
[[nodiscard]] double fisher_mid_p(const TwoShares& shares);

}  // namespace loraproof::stats
