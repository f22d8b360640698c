// SPDX-License-Identifier: Apache-2.0
// One block of each GGUF type: values to bytes as in the file. Layouts: ggml-common.h; the way back
// is io/ggml_types.h.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "loraproof/io/element_values.h"
#include "loraproof/io/narrow.h"

namespace loraproof::quant {

using BlockValues = std::span<const float>;  // as many as the block has
using BlockBytes = std::span<std::uint8_t>;  // as many as the block has

/// 32 values with a scale each (Q4_1, Q5_1: and a least value): gguf_small.cpp.
void encode_q8_0(BlockValues values, BlockBytes bytes);
void encode_q4_0(BlockValues values, BlockBytes bytes);
void encode_q4_1(BlockValues values, BlockBytes bytes);
void encode_q5_0(BlockValues values, BlockBytes bytes);
void encode_q5_1(BlockValues values, BlockBytes bytes);

/// 256 values in parts with fitted scales of 6 or 8 bits: gguf_k.cpp.
void encode_q4_k(BlockValues values, BlockBytes bytes);
void encode_q5_k(BlockValues values, BlockBytes bytes);
void encode_q6_k(BlockValues values, BlockBytes bytes);

/// A binary16 in the file, little endian.
inline void put_f16(BlockBytes bytes, std::size_t at, float value) {
  const std::uint16_t bits = io::f16_bits(value);
  bytes[at] = static_cast<std::uint8_t>(bits);
  bytes[at + 1] = static_cast<std::uint8_t>(bits >> 8);
}
[[nodiscard]] inline float get_f16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return io::f16_value(static_cast<std::uint16_t>(bytes[at] | bytes[at + 1] << 8));
}

/// A float cut off to an integer as x86 does: what does not fit, and NaN, is the least one.
[[nodiscard]] inline std::int32_t cut_off(float value) {
  return std::fabs(value) < 0x1p31F ? static_cast<std::int32_t>(value)
                                    : std::numeric_limits<std::int32_t>::min();
}

/// ggml's nearest_int: ties to even, for magnitudes below 2^22; of others, whatever these bits
/// give.
[[nodiscard]] inline std::int32_t nearest_by_bits(float value) {
  const auto bits = std::bit_cast<std::int32_t>(value + 12582912.0F);  // 1.5 * 2^23
  return (bits & 0x007FFFFF) - 0x00400000;
}

}  // namespace loraproof::quant
