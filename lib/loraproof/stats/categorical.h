// SPDX-License-Identifier: Apache-2.0
// Have the shares of categories (document type, language, customer tier) moved? Each prompt is in
// exactly one category. PSI and KL of the same counts: count_divergence in share_divergence.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace loraproof::stats {

struct CategoricalOptions {
  /// Categories whose smaller side expects fewer are pooled into one; if that one still expects
  /// fewer, the rarest of the others joins it (Cochran's 1954 rule, by margins alone).
  double least_expected = 5;
};

struct CategoricalTest {
  std::size_t categories = 0;     ///< that either side has
  std::size_t tested = 0;         ///< cells per side after pooling
  std::size_t pooled = 0;         ///< categories that went into the pooled cell
  double chi_square = 0;          ///< Pearson's, without continuity correction
  double degrees_of_freedom = 0;  ///< tested - 1
  double p = 1;
  /// Too few for a chi-square: p is Fisher's two-sided mid-p of the commonest category against the
  /// others, and chi_square is of that table.
  bool exact = false;
  double cramers_v = 0;  ///< sqrt(chi_square / (n + m)), 0..1
};

/// Test of homogeneity of two vectors of counts. nullopt when a side is empty. One category on both
/// sides: p = 1. Sizes must be equal and counts not negative (else an internal Error).
[[nodiscard]] std::optional<CategoricalTest> compare_categories(
    std::span<const std::int64_t> reference, std::span<const std::int64_t> window,
    const CategoricalOptions& options = {});

}  // namespace loraproof::stats
