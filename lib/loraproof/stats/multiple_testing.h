// SPDX-License-Identifier: Apache-2.0
// Many tests at once, and the same test again and again: corrections, evidence, slow change. All p
// must lie in [0, 1]; anything else is an internal Error.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace loraproof::stats {

/// Benjamini and Hochberg (1995): q[i] is the smallest false-discovery rate at which test i is a
/// discovery. A test is one at level alpha when q[i] <= alpha. Valid for independent or positively
/// dependent tests. p in ascending order; linear time.
[[nodiscard]] std::vector<double> benjamini_hochberg_sorted(std::span<const double> p);

/// Holm (1979): adjusted p; rejecting where it is <= alpha keeps the chance of any false rejection
/// under alpha, whatever the dependence.
[[nodiscard]] std::vector<double> holm(std::span<const double> p);

/// Level of the k-th window compared with one reference, k = 1, 2, ...: 6 alpha / (pi^2 k^2). The
/// levels of all windows together sum to alpha, so nothing is assumed about their dependence.
[[nodiscard]] double window_level(double alpha, std::int64_t k);

/// Normal quantile of intervals for the `selected` of `tests` that looked interesting: z(1 - alpha
/// selected / (2 tests)). |difference| - z standard errors is then a lower bound, and the bounds of
/// all selected miss at a rate of at most alpha / 2 (false coverage rate, Benjamini and Yekutieli
/// 2005). Needs 1 <= selected <= tests and 0 < alpha < 1, else an internal Error.
[[nodiscard]] double false_coverage_z(double alpha, std::int64_t selected, std::int64_t tests);

/// Evidence against the null as an e-value: (1 - p + p ln p) / (p (ln p)^2), the mixture of all
/// calibrators kappa p^(kappa - 1) (Vovk and Wang 2021). 1/2 at p = 1, +inf at p = 0.
[[nodiscard]] double e_value(double p);

/// Mean e-value of the windows so far: 1 / alpha or more is evidence at level alpha under any
/// dependence. The product is not, as windows share their reference. nullopt: no window.
[[nodiscard]] std::optional<double> mean_e_value(std::span<const double> p);

/// One-sided cumulative sum (Page 1954) over standardised statistics: finds creep that no single
/// window shows.
struct CumulativeSum {
  double slack = 0.5;  ///< what a window may exceed its expectation by, in standard deviations
  double level = 0;

  /// Takes the next window in.
  void add(double z);
};

}  // namespace loraproof::stats
