// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "loraproof/quant/gguf_blocks.h"

namespace loraproof::quant {
namespace {

constexpr std::size_t kValues = 32;
using Codes = std::array<std::uint8_t, kValues>;

// The inverse of a scale, and 0 of 0. Of a subnormal scale it is infinite.
float inverse_of(float scale) { return scale != 0 ? 1.0F / scale : 0.0F; }

// First of those with the largest magnitude, with its sign.
float extreme_of(BlockValues values) {
  float magnitude = 0, extreme = 0;
  for (const float value : values) {
    if (magnitude < std::fabs(value)) {
      magnitude = std::fabs(value);
      extreme = value;
    }
  }
  return extreme;
}

struct Range {
  float least = std::numeric_limits<float>::max();
  float most = std::numeric_limits<float>::lowest();
};

Range range_of(BlockValues values) {
  Range range;
  for (const float value : values) {
    if (value < range.least) range.least = value;
    if (value > range.most) range.most = value;
  }
  return range;
}

// Byte of a float: cut off to 32 bits, of which the low 8 remain.
int signed_byte(float value) { return static_cast<std::int8_t>(cut_off(value)); }

// Codes -half..half-1 stored as 0..2 * half - 1; the extreme value has the code of -half.
Codes signed_codes(BlockValues values, float scale, int half) {
  const float inverse = inverse_of(scale);
  Codes codes;
  for (std::size_t i = 0; i < kValues; ++i) {
    const int code = signed_byte(values[i] * inverse + (static_cast<float>(half) + 0.5F));
    codes[i] = static_cast<std::uint8_t>(std::min(2 * half - 1, code));
  }
  return codes;
}

// Codes 0..most, from the least value upwards.
Codes unsigned_codes(BlockValues values, float least, float scale, int most) {
  const float inverse = inverse_of(scale);
  Codes codes;
  for (std::size_t i = 0; i < kValues; ++i) {
    const int code = signed_byte((values[i] - least) * inverse + 0.5F);
    codes[i] = static_cast<std::uint8_t>(std::min(most, code));
  }
  return codes;
}

// 16 bytes: value i in the low half of byte i, value 16 + i in its high half.
void put_nibbles(BlockBytes bytes, std::size_t at, const Codes& codes) {
  for (std::size_t i = 0; i < kValues / 2; ++i)
    bytes[at + i] = static_cast<std::uint8_t>((codes[i] & 15) | (codes[i + kValues / 2] & 15) << 4);
}

// 4 bytes: bit i is the fifth of value i.
void put_fifth_bits(BlockBytes bytes, std::size_t at, const Codes& codes) {
  for (std::size_t i = 0; i < 4; ++i) {
    int byte = 0;
    for (std::size_t bit = 0; bit < 8; ++bit) byte |= (codes[8 * i + bit] >> 4 & 1) << bit;
    bytes[at + i] = static_cast<std::uint8_t>(byte);
  }
}

}  // namespace

void encode_q8_0(BlockValues values, BlockBytes bytes) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  const float scale = largest / 127.0F;
  const float inverse = inverse_of(scale);
  put_f16(bytes, 0, scale);
  for (std::size_t i = 0; i < kValues; ++i)
    bytes[2 + i] = static_cast<std::uint8_t>(cut_off(std::round(values[i] * inverse)));
}

void encode_q4_0(BlockValues values, BlockBytes bytes) {
  const float scale = extreme_of(values) / -8.0F;
  put_f16(bytes, 0, scale);
  put_nibbles(bytes, 2, signed_codes(values, scale, 8));
}

void encode_q4_1(BlockValues values, BlockBytes bytes) {
  const Range range = range_of(values);
  const float scale = (range.most - range.least) / 15.0F;
  put_f16(bytes, 0, scale);
  put_f16(bytes, 2, range.least);
  put_nibbles(bytes, 4, unsigned_codes(values, range.least, scale, 15));
}

void encode_q5_0(BlockValues values, BlockBytes bytes) {
  const float scale = extreme_of(values) / -16.0F;
  put_f16(bytes, 0, scale);
  const Codes codes = signed_codes(values, scale, 16);
  put_fifth_bits(bytes, 2, codes);
  put_nibbles(bytes, 6, codes);
}

void encode_q5_1(BlockValues values, BlockBytes bytes) {
  const Range range = range_of(values);
  const float scale = (range.most - range.least) / 31.0F;
  put_f16(bytes, 0, scale);
  put_f16(bytes, 2, range.least);
  const Codes codes = unsigned_codes(values, range.least, scale, 255);  // not limited there
  put_fifth_bits(bytes, 4, codes);
  put_nibbles(bytes, 8, codes);
}

}  // namespace loraproof::quant
