// SPDX-License-Identifier: Apache-2.0
// The 8-bit and 4-bit floats of quantised checkpoints: E4M3 without infinities (OCP 8-bit floats,
// torch's float8_e4m3fn), E5M2, and E2M1 (OCP microscaling). Values are exact.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "loraproof/io/element_values.h"

namespace loraproof::io {

inline constexpr float kE4m3Largest = 448.0F;
inline constexpr float kE2m1Largest = 6.0F;

/// Bias 7; NaN is 0x7F and 0xFF.
[[nodiscard]] inline float e4m3_value(std::uint8_t bits) {
  const std::uint32_t exponent = (bits >> 3) & 0xFU;
  const std::uint32_t fraction = bits & 7U;
  float magnitude = 0.0F;
  if (exponent == 15 && fraction == 7) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -9);
  } else {
    magnitude = std::bit_cast<float>(((exponent + 127 - 7) << 23) | (fraction << 20));
  }
  return (bits & 0x80U) != 0 ? -magnitude : magnitude;
}

/// Of all 256 codes.
[[nodiscard]] inline const std::array<float, 256>& e4m3_values() {
  static const std::array<float, 256> kValues = [] {
    std::array<float, 256> values{};
    for (std::size_t code = 0; code < values.size(); ++code)
      values[code] = e4m3_value(static_cast<std::uint8_t>(code));
    return values;
  }();
  return kValues;
}

/// Nearest, ties to even. The value is clamped to +-448 before; NaN is 0x7F.
[[nodiscard]] inline std::uint8_t e4m3_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  // Bias 127 to 7, and 20 bits less of fraction.
  const std::uint32_t normal = (magnitude - (120U << 23) + 0x7FFFFU + (magnitude >> 20 & 1U)) >> 20;
  // Below 2^-6 the step is 2^-9, which is also the step of f32 from 2^14 on: adding rounds.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0x1p14F) - 0x46800000U;
  const std::uint32_t finite = magnitude < 0x3C800000U ? subnormal : normal;
  return static_cast<std::uint8_t>((bits >> 24 & 0x80U) |
                                   (magnitude > 0x7F800000U ? 0x7FU : finite));
}

/// The upper byte of an IEEE binary16.
[[nodiscard]] inline float e5m2_value(std::uint8_t bits) {
  return f16_value(static_cast<std::uint16_t>(bits << 8));
}

inline constexpr std::array<float, 16> kE2m1Values = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,
                                                      4.0F,  6.0F,  -0.0F, -0.5F, -1.0F, -1.5F,
                                                      -2.0F, -3.0F, -4.0F, -6.0F};
/// The lower four bits count.
[[nodiscard]] inline float e2m1_value(std::uint8_t bits) { return kE2m1Values[bits & 15U]; }

/// Nearest, ties to the even code. Only what is below zero has the sign bit 8, also where it
/// becomes a zero (compressed-tensors: cast_to_fp4, pack_fp4_to_uint8). NaN is 0.
[[nodiscard]] inline std::uint8_t e2m1_bits(float value) {
  const float a = std::fabs(value);
  const int code = (a > 0.25F ? 1 : 0) + (a >= 0.75F ? 1 : 0) + (a > 1.25F ? 1 : 0) +
                   (a >= 1.75F ? 1 : 0) + (a > 2.5F ? 1 : 0) + (a >= 3.5F ? 1 : 0) +
                   (a > 5.0F ? 1 : 0);
  return static_cast<std::uint8_t>(code | (value < 0 ? 8 : 0));
}

}  // namespace loraproof::io
