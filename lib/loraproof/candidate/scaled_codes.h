// SPDX-License-Identifier: Apache-2.0
// A matrix whose values are (code - zero) · scale with one scale for each rectangle of elements:
// a whole tensor, a row, a group of a row, a block. Private to candidate/.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "loraproof/candidate/reading.h"

namespace loraproof::candidate {

struct ScaledCodes {
  std::int64_t out = 0;
  std::int64_t in = 0;
  /// Rows and columns that share a scale; scales lie row-major in a grid of ceil(in / columns).
  std::int64_t rows_a_scale = 1;
  std::int64_t columns_a_scale = 1;
  /// Codes of row `row`, exactly, [in].
  std::function<void(std::int64_t row, float* codes)> codes;
  /// Scale and zero of the grid's element (i, j).
  std::function<float(std::int64_t i, std::int64_t j)> scale;
  std::function<float(std::int64_t i, std::int64_t j)> zero;  ///< Empty: 0.
  /// The types that code - zero and the product are rounded to.
  io::DType difference = io::DType::F32;
  io::DType result = io::DType::F32;

  [[nodiscard]] std::int64_t grid_rows() const { return (out + rows_a_scale - 1) / rows_a_scale; }
  [[nodiscard]] std::int64_t grid_columns() const {
    return (in + columns_a_scale - 1) / columns_a_scale;
  }
};

/// The decode function of a weight.
void decode_scaled(const ScaledCodes& matrix, std::int64_t first, std::int64_t count, float* out);

/// "tensor", "channel", "g128" or "block 128x128".
[[nodiscard]] std::string layout_name(const ScaledCodes& matrix);

/// Codes of a matrix stored one byte each: I8, U8, F8_E4M3 or F8_E5M2, [..., in].
[[nodiscard]] std::function<void(std::int64_t, float*)> byte_codes(const io::TensorView& view);

}  // namespace loraproof::candidate
