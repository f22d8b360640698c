// SPDX-License-Identifier: Apache-2.0
// A matrix as bytes, and one pass of a quantiser over it in blocks of rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "loraproof/io/narrow.h"
#include "loraproof/quant/scheme.h"

namespace loraproof::quant::test {

struct Matrix {
  Shape shape;
  std::vector<std::byte> bytes;

  [[nodiscard]] std::size_t row_bytes() const {
    return static_cast<std::size_t>(shape.columns) * io::size_of(shape.dtype);
  }
  [[nodiscard]] std::span<const std::byte> rows(std::int64_t first, std::int64_t count) const {
    return std::span(bytes).subspan(static_cast<std::size_t>(first) * row_bytes(),
                                    static_cast<std::size_t>(count) * row_bytes());
  }
};

inline Matrix matrix_of(const Shape& shape, const std::vector<float>& values) {
  Matrix matrix{.shape = shape, .bytes = {}};
  matrix.bytes.resize(values.size() * io::size_of(shape.dtype));
  io::narrow(shape.dtype, values, matrix.bytes);
  return matrix;
}

struct Result {
  std::vector<float> values;
  Stored stored;
  Tally tally;
};

/// In blocks of `block_rows`, rounded up to a multiple of row_step(); blocks are surveyed from the
/// last to the first.
inline Result quantise(Quantiser& quantiser, const Matrix& matrix, std::int64_t block_rows) {
  const std::int64_t step = quantiser.row_step();
  const std::int64_t block = (block_rows + step - 1) / step * step;
  const std::int64_t rows = matrix.shape.rows;
  const auto count_at = [&](std::int64_t row) { return std::min(block, rows - row); };
  if (quantiser.needs_survey())
    for (std::int64_t row = (rows - 1) / block * block; row >= 0; row -= block)
      quantiser.survey(row, matrix.rows(row, count_at(row)));
  Result result;
  const std::size_t size = io::size_of(quantiser.result_dtype());
  for (std::int64_t row = 0; row < rows; row += block) {
    const auto values = static_cast<std::size_t>(count_at(row) * matrix.shape.columns);
    std::vector<std::byte> out(values * size);
    quantiser.dequantise(row, matrix.rows(row, count_at(row)), out, result.tally, &result.stored);
    const std::size_t at = result.values.size();
    result.values.resize(at + values);
    io::widen(quantiser.result_dtype(), out, std::span(result.values).subspan(at));
  }
  return result;
}

inline Result quantise(std::string_view scheme, const Matrix& matrix,
                       std::int64_t block_rows = 1000) {
  return quantise(*find_scheme(scheme).make(matrix.shape), matrix, block_rows);
}

}  // namespace loraproof::quant::test
