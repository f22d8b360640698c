// SPDX-License-Identifier: Apache-2.0
// Gram matrices of an adapter's factors in f64, without libtorch. Internal to adapter/.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace loraproof::adapter {

/// x·xᵀ [R, R] of `x` [R, N], row-major.
[[nodiscard]] std::vector<double> gram_of_rows(std::span<const double> x, std::int64_t rows);

/// ‖yᵀ·x‖²_F of `x` [R, I] and `y` [R, O], which is tr(y·yᵀ · x·xᵀ): the product is never formed.
[[nodiscard]] double product_norm2(std::span<const double> x, std::span<const double> y,
                                   std::int64_t rank);

/// [C, R] from `x` [R, C], row-major.
[[nodiscard]] std::vector<double> transposed(std::span<const double> x, std::int64_t rows);

}  // namespace loraproof::adapter
