// SPDX-License-Identifier: Apache-2.0
// Paired yes/no outcomes of the same prompts before and after: only the pairs that changed tell.
#pragma once

#include <cstdint>

#include "loraproof/stats/interval.h"

namespace loraproof::stats {

struct Flips {
  std::int64_t lost = 0;    ///< right before, wrong now
  std::int64_t gained = 0;  ///< wrong before, right now
  std::int64_t n = 0;       ///< all pairs

  /// (lost - gained) / n; 0 for n = 0.
  [[nodiscard]] double excess() const;
};

/// One-sided exact McNemar test (McNemar 1947): the probability that, of lost + gained changes that
/// fall either way with equal chance, at least `lost` are losses. 1 when nothing changed.
[[nodiscard]] double mcnemar_p(const Flips& flips);

/// Interval of excess() by Agresti and Min (2005): half a pair is added to each of the four cells,
/// then Wald's interval is taken. Cut to [-1, 1].
[[nodiscard]] Interval excess_interval(const Flips& flips, double level);

}  // namespace loraproof::stats
