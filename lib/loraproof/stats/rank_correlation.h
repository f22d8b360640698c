// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

namespace loraproof::stats {

/// Spearman's rank correlation: Pearson's of the ranks, those of equal values averaged. 0 where one
/// side is constant. Sizes must be equal.
[[nodiscard]] double spearman(std::span<const double> a, std::span<const double> b);

}  // namespace loraproof::stats
