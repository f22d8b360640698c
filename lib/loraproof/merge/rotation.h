// SPDX-License-Identifier: Apache-2.0
// What OFT and BOFT multiply a weight by: square blocks made of skew matrices by Cayley's transform
// (I - Q)(I + Q)^-1, in f64. Their product with a row is computed block by block.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/adapter/method.h"
#include "loraproof/io/tensor_view.h"

namespace loraproof::merge {

/// A block-diagonal matrix, whose blocks may all be the same one.
struct BlockDiagonal {
  std::int64_t size = 0;       ///< of a block
  std::vector<double> blocks;  ///< [n, size, size], row-major; n = 1: the same in all places

  /// out = row · matrix; both [columns].
  void multiply(std::span<const double> row, std::span<double> out) const;
};

/// oft_R.weight [n, b(b-1)/2] as PEFT turns it into rotations R (oft/layer.py get_weight); the
/// blocks are their transposes where `transposed`.
[[nodiscard]] BlockDiagonal oft_blocks(const io::TensorView& weight,
                                       const adapter::MethodSettings& settings, bool transposed);

/// Factor `factor` of boft_R [factors, n, b, b]: transposes of the rotations (boft/layer.py
/// cayley_batch).
[[nodiscard]] BlockDiagonal boft_blocks(const io::TensorView& weight, std::int64_t factor);

/// The order in which factor `factor` takes the columns, of blocks of `size` in a matrix of
/// `columns` (boft/layer.py block_butterfly_perm). P[k, order[k]] = 1.
[[nodiscard]] std::vector<std::int64_t> butterfly_order(std::int64_t columns, std::int64_t size,
                                                        std::int64_t factor);

}  // namespace loraproof::merge
