// SPDX-License-Identifier: Apache-2.0
// First and second moments of vectors, one per prompt, as sums that add up over any partition.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace loraproof::stats {

/// Sums over n vectors x of D entries. Only a view: the numbers belong to the caller. Entries
/// should be sums of exact values or of few roundings; a variance below 16 roundings of the squares
/// that it is the difference of counts as none.
struct MomentSums {
  std::int64_t n = 0;
  std::span<const double> sum;    ///< [D] sum of x
  std::span<const double> cross;  ///< [D, D] sum of x x^T, symmetric
};

/// Throws an internal Error unless n >= 0 and `cross` is the square of `sum`.
void check(const MomentSums& sums);

/// [D] sum / n. Needs n >= 1.
[[nodiscard]] std::vector<double> mean(const MomentSums& sums);

/// [D, D] unbiased covariance (cross - sum sum^T / n) / (n - 1). A constant entry has variance 0
/// exactly, and no covariances. Needs n >= 2.
[[nodiscard]] std::vector<double> covariance(const MomentSums& sums);

/// b - a, or 0 where the difference is no more than rounding.
[[nodiscard]] double clear_difference(double a, double b);

}  // namespace loraproof::stats
