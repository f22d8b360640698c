// SPDX-License-Identifier: Apache-2.0
// PSI and KL over whole vocabularies as other tools compute them, beside what they would be if
// nothing had moved. Not a test: with more tokens than data both numbers are mostly noise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace loraproof::stats {

struct VocabularyDivergence {
  std::size_t tokens = 0;  ///< that either side has
  double psi = 0;          ///< sum (p - q) ln(p / q)
  double kl = 0;           ///< sum p ln(p / q) of the reference p to the window q, nats
  /// Expectations, were the pooled tokens dealt to the two sides at random and one by one. Tokens
  /// of one prompt go together, so without drift the numbers are higher than this, not lower.
  double no_drift_psi = 0;
  double no_drift_kl = 0;
};

/// Of token counts, as Evidently (0.7) computes them: over the tokens that either side has, a share
/// of 0 is filled with 0.0001, or with a millionth of that side's smallest share where that is
/// 0.0001 or less; PSI takes the filled shares as they are, KL makes them add up to 1 again.
/// nullopt when a side is empty. Expectations are exact for the rarer tokens and to first order in
/// 1 / count where each side expects 100 or more.
[[nodiscard]] std::optional<VocabularyDivergence> vocabulary_divergence(
    std::span<const std::int64_t> reference, std::span<const std::int64_t> window);

/// Entropy in nats with the correction of Miller (1955) and Madow: plug-in + (K - 1) / (2 N), K
/// counts above 0 of N in total. nullopt when N is 0.
[[nodiscard]] std::optional<double> miller_madow_entropy(std::span<const std::int64_t> counts);

}  // namespace loraproof::stats
