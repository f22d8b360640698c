// SPDX-License-Identifier: Apache-2.0
// Values of 8 and 4 bit floats as they stand in quantised checkpoints, exactly, and the rounding of
// a float to 16 bit that a library does which dequantises in 16 bit.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "loraproof/io/element_values.h"

namespace loraproof::io {

/// E4M3 of the OCP 8-bit specification ("fn"): bias 7, no infinity, NaN is 0x7f and 0xff.
[[nodiscard]] inline float e4m3_value(std::uint8_t bits) {
  const std::uint32_t exponent = (bits >> 3) & 0xfu;
  const std::uint32_t fraction = bits & 7u;
  float magnitude = 0.0f;
  if (exponent == 15 && fraction == 7) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -9);
  } else {
    magnitude = std::bit_cast<float>(((exponent + 127 - 7) << 23) | (fraction << 20));
  }
  return (bits & 0x80u) != 0 ? -magnitude : magnitude;
}

/// E5M2: the upper byte of an IEEE binary16.
[[nodiscard]] inline float e5m2_value(std::uint8_t bits) {
  return f16_value(static_cast<std::uint16_t>(bits << 8));
}

/// E2M1 (FP4): the lower four bits count; the highest of them is the sign.
[[nodiscard]] inline float e2m1_value(std::uint8_t bits) {
  constexpr std::array<float, 8> kMagnitudes = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  const float magnitude = kMagnitudes[bits & 7u];
  return (bits & 8u) != 0 ? -magnitude : magnitude;
}

/// The nearest BF16 or F16, ties to even, overflow to infinity, as torch casts.
[[nodiscard]] inline float rounded_to_bf16(float value) {
  if (std::isnan(value)) return value;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return std::bit_cast<float>(bits & 0xffff0000u);
}

[[nodiscard]] inline float rounded_to_f16(float value) {
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return value;
  if (magnitude >= 65520.0f) return std::copysign(std::numeric_limits<float>::infinity(), value);
  if (magnitude < 0x1p-14f) return std::nearbyint(value * 0x1p24f) * 0x1p-24f;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  bits += 0xfffu + ((bits >> 13) & 1u);
  return std::bit_cast<float>(bits & ~std::uint32_t{0x1fff});
}

}  // namespace loraproof::io
