// SPDX-License-Identifier: Apache-2.0
#include "loraproof/candidate/scaled_codes.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "loraproof/core/error.h"
#include "loraproof/io/narrow.h"
#include "loraproof/io/small_floats.h"

namespace loraproof::candidate {

void decode_scaled(const ScaledCodes& matrix, std::int64_t first, std::int64_t count, float* out) {
  for (std::int64_t row = first; row < first + count; ++row, out += matrix.in) {
    matrix.codes(row, out);
    const std::int64_t i = row / matrix.rows_a_scale;
    for (std::int64_t j = 0; j < matrix.grid_columns(); ++j) {
      const float scale = matrix.scale(i, j);
      const float zero = matrix.zero ? matrix.zero(i, j) : 0.0f;
      const std::int64_t begin = j * matrix.columns_a_scale;
      const std::int64_t end = std::min(begin + matrix.columns_a_scale, matrix.in);
      for (std::int64_t c = begin; c < end; ++c) {
        // Without a zero nothing is subtracted: a code of -0 stays -0.
        const float code = matrix.zero ? io::rounded_to(matrix.difference, out[c] - zero) : out[c];
        out[c] = io::rounded_to(matrix.result, code * scale);
      }
    }
  }
}

std::string layout_name(const ScaledCodes& matrix) {
  if (matrix.rows_a_scale >= matrix.out && matrix.columns_a_scale >= matrix.in) return "tensor";
  if (matrix.rows_a_scale > 1) {
    return fmt::format("block {}x{}", matrix.rows_a_scale, matrix.columns_a_scale);
  }
  if (matrix.columns_a_scale >= matrix.in) return "channel";
  return fmt::format("g{}", matrix.columns_a_scale);
}

std::function<void(std::int64_t, float*)> byte_codes(const io::TensorView& view) {
  std::array<float, 256> values{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(i);
    switch (view.dtype) {
      case io::DType::I8: values[i] = static_cast<std::int8_t>(byte); break;
      case io::DType::U8: values[i] = byte; break;
      case io::DType::F8E4M3: values[i] = io::e4m3_value(byte); break;
      case io::DType::F8E5M2: values[i] = io::e5m2_value(byte); break;
      default: throw internal_error({.message = "codes that are no bytes", .where = view.name});
    }
  }
  return [&view, values, in = view.shape.back()](std::int64_t row, float* codes) {
    const std::byte* at = view.bytes.data() + row * in;
    for (std::int64_t c = 0; c < in; ++c) {
      codes[c] = values[std::to_integer<std::size_t>(at[c])];
    }
  };
}

}  // namespace loraproof::candidate
