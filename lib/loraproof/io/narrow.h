// SPDX-License-Identifier: Apache-2.0
// f32 and the 16-bit types of weights, in bulk: written without branches, so that compilers make
// vector instructions of it. Values of f64 are rounded by merge/rounding.h, at once.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "loraproof/io/element_values.h"
#include "loraproof/io/tensor_view.h"

namespace loraproof::io {

/// Bits of the nearest BF16, ties to even; NaN stays NaN.
[[nodiscard]] inline std::uint16_t bf16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t nearest = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
  const std::uint32_t quiet = bits >> 16 | 0x40U;
  return static_cast<std::uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? quiet : nearest);
}

/// Bits of the nearest binary16, ties to even; infinity from 65520 on, NaN stays NaN.
[[nodiscard]] inline std::uint16_t f16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  // Bias 127 to 15, and 13 bits less of fraction.
  const std::uint32_t normal = (magnitude - (112U << 23) + 0xFFFU + (magnitude >> 13 & 1U)) >> 13;
  // Below 2^-14 the step is 2^-24, which is also the step of f32 from 0.5 to 1: adding rounds.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
  const std::uint32_t finite = magnitude < 0x38800000U ? subnormal : normal;
  const std::uint32_t special = magnitude > 0x7F800000U ? 0x7E00U : 0x7C00U;
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000U) |
                                    (magnitude >= 0x477FF000U ? special : finite));
}

/// The nearest value of BF16 or F16, ties to even, overflow to infinity, as torch casts; the value
/// itself for any other type.
[[nodiscard]] inline float rounded_to(DType dtype, float value) {
  if (dtype == DType::BF16) return bf16_value(bf16_bits(value));
  return dtype == DType::F16 ? f16_value(f16_bits(value)) : value;
}

/// Values of consecutive elements of BF16, F16 or F32; `bytes` has as many as `out`, and may lie
/// anywhere. Internal Error for other types.
void widen(DType dtype, std::span<const std::byte> bytes, std::span<float> out);

/// The nearest values of BF16, F16 or F32, ties to even, overflow to infinity; `bytes` has room for
/// as many as `values`. Internal Error for other types.
void narrow(DType dtype, std::span<const float> values, std::span<std::byte> bytes);

}  // namespace loraproof::io
