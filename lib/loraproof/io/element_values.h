// SPDX-License-Identifier: Apache-2.0
// Values of stored elements as numbers, exactly.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/io/tensor_view.h"

namespace loraproof::io {

[[nodiscard]] inline float bf16_value(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
/// IEEE 754 binary16. Without branches, so that loops over it become vector instructions: the
/// exponent is corrected by a product, which is exact, also for subnormal numbers.
[[nodiscard]] inline float f16_value(std::uint16_t bits) {
  const std::uint32_t magnitude = static_cast<std::uint32_t>(bits & 0x7FFFU) << 13;
  const float finite = std::bit_cast<float>(magnitude) * 0x1p112F;
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t special = magnitude | 0x7F800000U;
  return std::bit_cast<float>(
      sign | ((bits & 0x7C00U) == 0x7C00U ? special : std::bit_cast<std::uint32_t>(finite)));
}

/// Values of consecutive elements of BF16, F16, F32 or F64; `bytes` has as many as `out`, and may
/// lie anywhere. Internal Error for other types.
void widen(DType dtype, std::span<const std::byte> bytes, std::span<double> out);
/// Of a whole tensor, row-major as stored.
[[nodiscard]] std::vector<double> widened(const TensorView& view);

/// How many elements differ; all of them where the shapes do. Types may differ. Reads in blocks.
[[nodiscard]] std::int64_t count_differing(const TensorView& a, const TensorView& b);

}  // namespace loraproof::io
