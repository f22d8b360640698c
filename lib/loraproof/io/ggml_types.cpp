// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/ggml_types.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"

namespace loraproof::io {
namespace {

std::uint8_t u8(const std::byte* at) { return std::to_integer<std::uint8_t>(*at); }
std::uint32_t low(std::byte byte) { return std::to_integer<std::uint32_t>(byte) & 15u; }
std::uint32_t high(std::byte byte) { return std::to_integer<std::uint32_t>(byte) >> 4; }

std::uint16_t u16(const std::byte* at) {
  return static_cast<std::uint16_t>(u8(at) | (u8(at + 1) << 8));
}
std::uint32_t u32(const std::byte* at) {
  return u16(at) | (static_cast<std::uint32_t>(u16(at + 2)) << 16);
}
float f16(const std::byte* at) { return f16_value(u16(at)); }
float i8(const std::byte* at) { return static_cast<float>(static_cast<std::int8_t>(u8(at))); }

void f32_block(const std::byte* at, float* out) { *out = std::bit_cast<float>(u32(at)); }
void f16_block(const std::byte* at, float* out) { *out = f16(at); }
void bf16_block(const std::byte* at, float* out) { *out = bf16_value(u16(at)); }

// Blocks of 32: the low nibbles are elements 0 to 15, the high ones 16 to 31.
void q4_0_block(const std::byte* at, float* out) {
  const float d = f16(at);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(static_cast<int>(low(at[2 + i])) - 8);
    out[i + 16] = d * static_cast<float>(static_cast<int>(high(at[2 + i])) - 8);
  }
}

void q4_1_block(const std::byte* at, float* out) {
  const float d = f16(at);
  const float m = f16(at + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(low(at[4 + i])) + m;
    out[i + 16] = d * static_cast<float>(high(at[4 + i])) + m;
  }
}

// As Q4_0, with a fifth bit for each element in a word of 32.
std::uint32_t five_bits(std::uint32_t nibble, std::uint32_t fifth, int i) {
  return nibble | (((fifth >> i) & 1u) << 4);
}

void q5_0_block(const std::byte* at, float* out) {
  const float d = f16(at);
  const std::uint32_t fifth = u32(at + 2);
  for (int i = 0; i < 16; ++i) {
    const auto a = static_cast<int>(five_bits(low(at[6 + i]), fifth, i));
    const auto b = static_cast<int>(five_bits(high(at[6 + i]), fifth, i + 16));
    out[i] = d * static_cast<float>(a - 16);
    out[i + 16] = d * static_cast<float>(b - 16);
  }
}

void q5_1_block(const std::byte* at, float* out) {
  const float d = f16(at);
  const float m = f16(at + 2);
  const std::uint32_t fifth = u32(at + 4);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(five_bits(low(at[8 + i]), fifth, i)) + m;
    out[i + 16] = d * static_cast<float>(five_bits(high(at[8 + i]), fifth, i + 16)) + m;
  }
}

void q8_0_block(const std::byte* at, float* out) {
  const float d = f16(at);
  for (int i = 0; i < 32; ++i) out[i] = i8(at + 2 + i) * d;
}

// Blocks of 256 from here. Q2_K: 16 bytes of scale (low) and minimum (high nibble), 64 of codes, d,
// dmin. Each 32 bytes of codes hold four runs of 32 elements, two bits of a byte each.
void q2_k_block(const std::byte* at, float* out) {
  const std::byte* codes = at + 16;
  const float d = f16(at + 80);
  const float dmin = f16(at + 82);
  for (int i = 0; i < 256; ++i) {
    const int byte = (i / 128) * 32 + i % 32;
    const std::uint32_t code = (u8(codes + byte) >> (2 * (i / 32 % 4))) & 3u;
    const std::byte scale = at[i / 16];
    out[i] = d * static_cast<float>(low(scale)) * static_cast<float>(code) -
             dmin * static_cast<float>(high(scale));
  }
}

// Q3_K: 32 bytes of high bits, 64 of low bits, 12 of six-bit scales, d. A high bit of 1 adds
// nothing, 0 subtracts 4. Scale k: low four bits in nibble k/8 of byte k%8, high two in bits 2(k/4)
// of byte 8+k%4.
void q3_k_block(const std::byte* at, float* out) {
  const std::byte* codes = at + 32;
  const std::byte* scales = at + 96;
  const float d = f16(at + 108);
  for (int i = 0; i < 256; ++i) {
    const int k = i / 16;
    const std::uint32_t lower = (u8(scales + k % 8) >> (4 * (k / 8))) & 15u;
    const std::uint32_t upper = (u8(scales + 8 + k % 4) >> (2 * (k / 4))) & 3u;
    const int scale = static_cast<int>(lower | (upper << 4)) - 32;
    const int byte = (i / 128) * 32 + i % 32;
    const std::uint32_t code = (u8(codes + byte) >> (2 * (i / 32 % 4))) & 3u;
    const bool bit = ((u8(at + i % 32) >> (i / 32)) & 1u) != 0;
    out[i] =
        d * static_cast<float>(scale) * static_cast<float>(static_cast<int>(code) - (bit ? 0 : 4));
  }
}

struct ScaleAndMin {
  std::uint32_t scale;
  std::uint32_t min;
};

// Eight pairs of six bits in twelve bytes (get_scale_min_k4 of ggml-quants.c).
ScaleAndMin scale_and_min(const std::byte* packed, int k) {
  if (k < 4) return {u8(packed + k) & 63u, u8(packed + k + 4) & 63u};
  const std::byte both = packed[k + 4];
  return {low(both) | ((u8(packed + k - 4) >> 6) << 4u),
          high(both) | ((u8(packed + k) >> 6) << 4u)};
}

// d, dmin, 12 bytes of scales, 128 of nibbles: each 32 bytes hold 32 elements low, then 32 high.
void q4_k_block(const std::byte* at, float* out) {
  const float d = f16(at);
  const float dmin = f16(at + 2);
  for (int k = 0; k < 8; ++k) {
    const ScaleAndMin pair = scale_and_min(at + 4, k);
    const float scale = d * static_cast<float>(pair.scale);
    const float min = dmin * static_cast<float>(pair.min);
    const std::byte* codes = at + 16 + 32 * (k / 2);
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t code = k % 2 == 0 ? low(codes[i]) : high(codes[i]);
      out[32 * k + i] = scale * static_cast<float>(code) - min;
    }
  }
}

// As Q4_K, with 32 bytes of fifth bits before the nibbles: bit k of byte i for element i of run k.
void q5_k_block(const std::byte* at, float* out) {
  const float d = f16(at);
  const float dmin = f16(at + 2);
  const std::byte* fifth = at + 16;
  for (int k = 0; k < 8; ++k) {
    const ScaleAndMin pair = scale_and_min(at + 4, k);
    const float scale = d * static_cast<float>(pair.scale);
    const float min = dmin * static_cast<float>(pair.min);
    const std::byte* codes = at + 48 + 32 * (k / 2);
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t nibble = k % 2 == 0 ? low(codes[i]) : high(codes[i]);
      out[32 * k + i] = scale * static_cast<float>(five_bits(nibble, u8(fifth + i), k)) - min;
    }
  }
}

// 128 bytes of low nibbles, 64 of high two bits, 16 signed scales, d. Each half of 128 elements:
// 64 bytes hold 64 elements low, then 64 high; bits 2j of 32 bytes belong to run j of 32.
void q6_k_block(const std::byte* at, float* out) {
  const std::byte* upper = at + 128;
  const std::byte* scales = at + 192;
  const float d = f16(at + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const std::byte codes = at[64 * half + i % 64];
    const std::uint32_t nibble = i % 128 < 64 ? low(codes) : high(codes);
    const std::uint32_t two = (u8(upper + 32 * half + i % 32) >> (2 * (i % 128 / 32))) & 3u;
    const int code = static_cast<int>(nibble | (two << 4)) - 32;
    out[i] = d * i8(scales + i / 16) * static_cast<float>(code);
  }
}

// Codes of IQ4_NL and IQ4_XS (kvalues_iq4nl of ggml-common.h).
constexpr std::array<float, 16> kNonLinear = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};

void iq4_nl_block(const std::byte* at, float* out) {
  const float d = f16(at);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * kNonLinear[low(at[2 + i])];
    out[i + 16] = d * kNonLinear[high(at[2 + i])];
  }
}

// d, 16 bits of high scale bits, 4 bytes of low ones, 128 of nibbles in eight runs of 32.
void iq4_xs_block(const std::byte* at, float* out) {
  const float d = f16(at);
  const std::uint32_t upper = u16(at + 2);
  for (int k = 0; k < 8; ++k) {
    const std::byte pair = at[4 + k / 2];
    const std::uint32_t lower = k % 2 == 0 ? low(pair) : high(pair);
    const int scale = static_cast<int>(lower | (((upper >> (2 * k)) & 3u) << 4)) - 32;
    const float run = d * static_cast<float>(scale);
    const std::byte* codes = at + 8 + 16 * k;
    for (int i = 0; i < 16; ++i) {
      out[32 * k + i] = run * kNonLinear[low(codes[i])];
      out[32 * k + i + 16] = run * kNonLinear[high(codes[i])];
    }
  }
}

// One E8M0 exponent for 32 codes of E2M1. ggml keeps codes doubled and scales halved, which gives a
// finite scale to each of the 256 exponents.
void mxfp4_block(const std::byte* at, float* out) {
  constexpr std::array<float, 16> kDoubled = {0, 1,  2,  3,  4,  6,  8,  12,
                                              0, -1, -2, -3, -4, -6, -8, -12};
  const std::uint32_t exponent = u8(at);
  const float half =
      std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
  for (int i = 0; i < 16; ++i) {
    out[i] = half * kDoubled[low(at[1 + i])];
    out[i + 16] = half * kDoubled[high(at[1 + i])];
  }
}

// Sizes: GGML_QUANT_SIZES of gguf 0.19 (constants.py).
constexpr std::array kTypes = {
    GgmlType{0, "f32", 1, 4, f32_block},
    GgmlType{1, "f16", 1, 2, f16_block},
    GgmlType{2, "q4_0", 32, 18, q4_0_block},
    GgmlType{3, "q4_1", 32, 20, q4_1_block},
    GgmlType{6, "q5_0", 32, 22, q5_0_block},
    GgmlType{7, "q5_1", 32, 24, q5_1_block},
    GgmlType{8, "q8_0", 32, 34, q8_0_block},
    GgmlType{9, "q8_1", 32, 40, nullptr},
    GgmlType{10, "q2_K", 256, 84, q2_k_block},
    GgmlType{11, "q3_K", 256, 110, q3_k_block},
    GgmlType{12, "q4_K", 256, 144, q4_k_block},
    GgmlType{13, "q5_K", 256, 176, q5_k_block},
    GgmlType{14, "q6_K", 256, 210, q6_k_block},
    GgmlType{15, "q8_K", 256, 292, nullptr},
    GgmlType{16, "iq2_xxs", 256, 66, nullptr},
    GgmlType{17, "iq2_xs", 256, 74, nullptr},
    GgmlType{18, "iq3_xxs", 256, 98, nullptr},
    GgmlType{19, "iq1_s", 256, 50, nullptr},
    GgmlType{20, "iq4_nl", 32, 18, iq4_nl_block},
    GgmlType{21, "iq3_s", 256, 110, nullptr},
    GgmlType{22, "iq2_s", 256, 82, nullptr},
    GgmlType{23, "iq4_xs", 256, 136, iq4_xs_block},
    GgmlType{24, "i8", 1, 1, nullptr},
    GgmlType{25, "i16", 1, 2, nullptr},
    GgmlType{26, "i32", 1, 4, nullptr},
    GgmlType{27, "i64", 1, 8, nullptr},
    GgmlType{28, "f64", 1, 8, nullptr},
    GgmlType{29, "iq1_m", 256, 56, nullptr},
    GgmlType{30, "bf16", 1, 2, bf16_block},
    GgmlType{34, "tq1_0", 256, 54, nullptr},
    GgmlType{35, "tq2_0", 256, 66, nullptr},
    GgmlType{39, "mxfp4", 32, 17, mxfp4_block},
    GgmlType{40, "nvfp4", 64, 36, nullptr},
    GgmlType{41, "q1_0", 128, 18, nullptr},
};

}  // namespace

const GgmlType* find_ggml_type(std::uint32_t id) {
  const auto found = std::ranges::find(kTypes, id, &GgmlType::id);
  return found == kTypes.end() ? nullptr : &*found;
}

std::string decodable_ggml_types() {
  std::string names;
  for (const GgmlType& type : kTypes) {
    if (type.decode_block == nullptr) continue;
    if (!names.empty()) names += ", ";
    names += type.name;
  }
  return names;
}

void decode_ggml(const GgmlType& type, std::span<const std::byte> bytes, std::span<float> values) {
  const std::size_t blocks = bytes.size() / type.block_bytes;
  if (type.decode_block == nullptr || blocks * type.block_bytes != bytes.size() ||
      blocks * type.block_values != values.size()) {
    throw internal_error(
        {.message = "blocks of ggml and their values do not fit", .found = std::string(type.name)});
  }
  for (std::size_t i = 0; i < blocks; ++i) {
    type.decode_block(bytes.data() + i * type.block_bytes, values.data() + i * type.block_values);
  }
}

}  // namespace loraproof::io
