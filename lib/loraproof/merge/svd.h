// SPDX-License-Identifier: Apache-2.0
// Truncated singular value decompositions, in f64 (Eigen and Spectra).
#pragma once

#include <cstdint>
#include <vector>

#include "loraproof/io/tensor_view.h"
#include "loraproof/merge/low_rank.h"

namespace loraproof::merge {

/// left · right is the nearest matrix of its rank: left [rows, k] = U·S, right [k, columns] = Vᵀ.
struct Svd {
  std::vector<double> left, right;
};

/// Of left · diag(scale) · right; at most as many triplets as that has inner indices.
[[nodiscard]] Svd svd_of_product(const LowRank& product, std::int64_t rank);

/// The `rank` largest triplets of a stored matrix, by a Lanczos iteration on WᵀW or WWᵀ that reads
/// W in blocks. Input Error where it does not converge (equal singular values around the rank).
[[nodiscard]] Svd largest_triplets(const io::TensorView& matrix, std::int64_t rank);

}  // namespace loraproof::merge
