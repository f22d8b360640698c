// SPDX-License-Identifier: Apache-2.0
// Have the means of two populations of vectors moved? A test for many small shifts at once, from
// sums alone: signed sketches of token shares, mean embeddings, random Fourier features.
#pragma once

#include <optional>

#include "loraproof/stats/moments.h"

namespace loraproof::stats {

/// T = |mean_window - mean_reference|^2 against what no shift would give. With V the covariance of
/// one vector: t1 = E T = tr V1/n + tr V2/m; t2 = Var T / 2 = tr of the square of V1/n + V2/m, from
/// unbiased estimates of tr V^2 (Bai and Saranadasa 1996); T t1 / t2 is compared with chi-square of
/// nu = t1^2 / t2 degrees of freedom (Satterthwaite 1946).
struct SketchTest {
  double squared_distance = 0;    ///< T
  double expected = 0;            ///< t1
  double half_variance = 0;       ///< t2, at least t1^2 / D (so nu is at most D)
  double degrees_of_freedom = 0;  ///< nu; 0 when nothing varies
  double p = 1;
  double z =
      0;  ///< (T - t1) / sqrt(2 t2), for a cumulative sum over windows; 0 when nothing varies
};

/// nullopt with fewer than 3 vectors on a side. Where nothing varies on either side p is 1 for
/// equal means and 0 for others. Sizes must agree (else an internal Error). Time and memory are
/// D^2.
[[nodiscard]] std::optional<SketchTest> sketch_test(const MomentSums& reference,
                                                    const MomentSums& window);

}  // namespace loraproof::stats
