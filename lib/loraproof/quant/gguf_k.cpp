// SPDX-License-Identifier: Apache-2.0
// The super-blocks of 256 values. Scales are found by trying a few steps around the plain one and
// keeping the best in weighted squares; the order of every sum is ggml's, as f32 sums depend on it.
#include <algorithm>
#include <array>

#include "loraproof/quant/gguf_blocks.h"

namespace loraproof::quant {
namespace {

constexpr std::size_t kValues = 256;
constexpr float kNothing = 1e-15F;  // GROUP_MAX_EPS: what is below counts as zeros

// value = scale * code - offset, codes 0..most.
struct AffineFit {
  float scale = 0;
  float offset = 0;
};

struct AffineSearch {
  int most = 15;        // largest code
  float first = -1.0F;  // of what is added to it, in steps of 0.1, when the scale is tried
  int steps = 20;
};

constexpr std::size_t kPart = 32;  // of Q4_K and Q5_K
using PartCodes = std::array<std::uint8_t, kPart>;

// Weighted squares of what a scale and a least value leave.
float error_of(BlockValues values, std::span<const float> weights, const PartCodes& codes,
               float scale, float least) {
  float error = 0;
  for (std::size_t i = 0; i < kPart; ++i) {
    const float difference = scale * static_cast<float>(codes[i]) + least - values[i];
    error += weights[i] * (difference * difference);
  }
  return error;
}

PartCodes codes_of(BlockValues values, float inverse, float least, int most) {
  PartCodes codes;
  for (std::size_t i = 0; i < kPart; ++i) {
    const int code = nearest_by_bits(inverse * (values[i] - least));
    codes[i] = static_cast<std::uint8_t>(std::clamp(code, 0, most));
  }
  return codes;
}

// make_qkx2_quants: for each trial the codes of one step, then scale and least value by weighted
// least squares. The range that a trial begins from is that of the best one so far.
AffineFit fit_affine(BlockValues values, std::span<const float> weights, const AffineSearch& search,
                     PartCodes& codes) {
  float least = values[0], most = values[0];
  float sum_w = weights[0], sum_x = sum_w * values[0];
  for (std::size_t i = 1; i < kPart; ++i) {
    if (values[i] < least) least = values[i];
    if (values[i] > most) most = values[i];
    sum_w += weights[i];
    sum_x += weights[i] * values[i];
  }
  if (least > 0) least = 0;
  if (most == least) {
    codes.fill(0);
    return {.scale = 0, .offset = -least};
  }
  const auto top = static_cast<float>(search.most);
  const float plain = top / (most - least);
  float scale = 1 / plain;
  codes = codes_of(values, plain, least, search.most);
  float best = error_of(values, weights, codes, scale, least);
  for (int step = 0; step <= search.steps; ++step) {
    const float inverse = (search.first + 0.1F * static_cast<float>(step) + top) / (most - least);
    const PartCodes tried = codes_of(values, inverse, least, search.most);
    float sum_l = 0, sum_l2 = 0, sum_xl = 0;
    for (std::size_t i = 0; i < kPart; ++i) {
      const auto code = static_cast<float>(tried[i]);
      const float weighted = weights[i] * code;
      sum_l += weighted;
      sum_l2 += weighted * code;
      sum_xl += weighted * values[i];
    }
    const float determinant = sum_w * sum_l2 - sum_l * sum_l;
    if (!(determinant > 0)) continue;
    float tried_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    float tried_least = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    if (tried_least > 0) {
      tried_least = 0;
      tried_scale = sum_xl / sum_l2;
    }
    const float error = error_of(values, weights, tried, tried_scale, tried_least);
    if (error < best) {
      codes = tried;
      best = error;
      scale = tried_scale;
      least = tried_least;
    }
  }
  return {.scale = scale, .offset = -least};
}

// 8 scales and 8 offsets of 6 bits in 12 bytes: low bits of the first four of each, then the low
// halves of the others, whose upper 2 bits lie above the first ones.
constexpr std::size_t kParts = kValues / kPart;
struct SixBit {
  std::array<std::uint8_t, kParts> scales{};
  std::array<std::uint8_t, kParts> offsets{};
};

void put_six_bit(BlockBytes bytes, const SixBit& six) {
  for (std::size_t j = 0; j < 4; ++j) {
    const int scale = six.scales[j + 4], offset = six.offsets[j + 4];
    bytes[j] = static_cast<std::uint8_t>(six.scales[j] | (scale >> 4) << 6);
    bytes[j + 4] = static_cast<std::uint8_t>(six.offsets[j] | (offset >> 4) << 6);
    bytes[j + 8] = static_cast<std::uint8_t>((scale & 15) | (offset & 15) << 4);
  }
}

std::uint8_t six_bits(float value) {
  return std::min<std::uint8_t>(63, static_cast<std::uint8_t>(nearest_by_bits(value)));
}

using Codes = std::array<std::uint8_t, kValues>;

// What Q4_K and Q5_K have in common: 16 bytes of scales, and the codes.
Codes encode_affine(BlockValues values, BlockBytes header, const AffineSearch& search) {
  std::array<AffineFit, kParts> fits;
  std::array<PartCodes, kParts> codes;
  float most_scale = 0, most_offset = 0;
  for (std::size_t j = 0; j < kParts; ++j) {
    const BlockValues part = values.subspan(kPart * j, kPart);
    float squares = 0;
    for (const float value : part) squares += value * value;
    const float typical = std::sqrt(squares / static_cast<float>(kPart));
    std::array<float, kPart> weights;
    for (std::size_t i = 0; i < kPart; ++i) weights[i] = typical + std::fabs(part[i]);
    fits[j] = fit_affine(part, weights, search, codes[j]);
    if (fits[j].scale > most_scale) most_scale = fits[j].scale;
    if (fits[j].offset > most_offset) most_offset = fits[j].offset;
  }
  const float inverse_scale = most_scale > 0 ? 63.0F / most_scale : 0.0F;
  const float inverse_offset = most_offset > 0 ? 63.0F / most_offset : 0.0F;
  SixBit six;
  for (std::size_t j = 0; j < kParts; ++j) {
    six.scales[j] = six_bits(inverse_scale * fits[j].scale);
    six.offsets[j] = six_bits(inverse_offset * fits[j].offset);
  }
  put_f16(header, 0, most_scale / 63.0F);
  put_f16(header, 2, most_offset / 63.0F);
  put_six_bit(header.subspan(4), six);
  Codes result;
  for (std::size_t j = 0; j < kParts; ++j) {
    // The codes once more, with the scales as stored; those of the fit stay where they are zero.
    const float scale = get_f16(header, 0) * static_cast<float>(six.scales[j]);
    const float offset = get_f16(header, 2) * static_cast<float>(six.offsets[j]);
    for (std::size_t i = 0; i < kPart; ++i) {
      const std::size_t at = kPart * j + i;
      const int code = nearest_by_bits((values[at] + offset) / scale);
      result[at] =
          scale != 0 ? static_cast<std::uint8_t>(std::clamp(code, 0, search.most)) : codes[j][i];
    }
  }
  return result;
}

// 128 bytes: of each 64 values the first 32 in the low halves of 32 bytes, the others in the high.
void put_nibbles(BlockBytes bytes, const Codes& codes) {
  for (std::size_t i = 0; i < kValues / 2; ++i) {
    const std::size_t at = i / 32 * 64 + i % 32;
    bytes[i] = static_cast<std::uint8_t>((codes[at] & 15) | (codes[at + 32] & 15) << 4);
  }
}

// Sums of a trial of make_qx_quants, with squares as weights.
struct Squares {
  float product = 0;  // sum of w * value * code
  float codes = 0;    // sum of w * code^2
};

constexpr std::size_t kSixPart = 16;  // of Q6_K
constexpr int kSixHalf = 32;          // codes -32..31
using SixCodes = std::array<std::int8_t, kSixPart>;

Squares try_scale(BlockValues values, float inverse, SixCodes& codes) {
  Squares sums;
  for (std::size_t i = 0; i < kSixPart; ++i) {
    const int code = std::clamp(nearest_by_bits(inverse * values[i]), -kSixHalf, kSixHalf - 1);
    codes[i] = static_cast<std::int8_t>(code);
    const float weight = values[i] * values[i];
    sums.product += weight * values[i] * static_cast<float>(code);
    sums.codes += weight * static_cast<float>(code) * static_cast<float>(code);
  }
  return sums;
}

// make_qx_quants: the scale of value = scale * code.
float fit_symmetric(BlockValues values, SixCodes& codes) {
  float magnitude = 0, extreme = 0;
  for (const float value : values) {
    if (std::fabs(value) > magnitude) {
      magnitude = std::fabs(value);
      extreme = value;
    }
  }
  if (magnitude < kNothing) {
    codes.fill(-kSixHalf);  // stored as 0
    return 0;
  }
  const Squares plain = try_scale(values, -static_cast<float>(kSixHalf) / extreme, codes);
  float scale = plain.codes != 0 ? plain.product / plain.codes : 0.0F;
  float best = scale * plain.product;
  for (int step = -9; step <= 9; ++step) {
    if (step == 0) continue;
    SixCodes tried;
    const float inverse =
        -(static_cast<float>(kSixHalf) + 0.1F * static_cast<float>(step)) / extreme;
    const Squares sums = try_scale(values, inverse, tried);
    if (sums.codes > 0 && sums.product * sums.product > best * sums.codes) {
      codes = tried;
      scale = sums.product / sums.codes;
      best = scale * sums.product;
    }
  }
  return scale;
}

}  // namespace

void encode_q4_k(BlockValues values, BlockBytes bytes) {
  put_nibbles(bytes.subspan(16), encode_affine(values, bytes.first(16), {15, -1.0F, 20}));
}

// Fifth bits lie in 32 bytes before the nibbles: bit n of byte i is that of value 32 * n + i.
void encode_q5_k(BlockValues values, BlockBytes bytes) {
  const Codes codes = encode_affine(values, bytes.first(16), {31, -0.5F, 15});
  for (std::size_t i = 0; i < 32; ++i) {
    int byte = 0;
    for (std::size_t n = 0; n < 8; ++n) byte |= (codes[32 * n + i] >> 4 & 1) << n;
    bytes[16 + i] = static_cast<std::uint8_t>(byte);
  }
  put_nibbles(bytes.subspan(48), codes);
}

// 128 bytes of low halves, 64 of upper pairs of bits, 16 scales in 8 bits, and the scale of scales.
// Of each 128 values: low halves as two rows of 32, with values 64 further in the high halves.
constexpr std::size_t kPairsAt = 128, kScalesAt = 192, kScaleAt = 208;

void encode_q6_k(BlockValues values, BlockBytes bytes) {
  std::array<float, kValues / kSixPart> scales;
  std::array<SixCodes, kValues / kSixPart> fitted;
  float extreme = 0, magnitude = 0;
  for (std::size_t j = 0; j < scales.size(); ++j) {
    scales[j] = fit_symmetric(values.subspan(kSixPart * j, kSixPart), fitted[j]);
    if (std::fabs(scales[j]) > magnitude) {
      magnitude = std::fabs(scales[j]);
      extreme = scales[j];
    }
  }
  std::fill(bytes.begin(), bytes.end(), std::uint8_t{0});
  if (magnitude < kNothing) return;
  const float inverse = -128.0F / extreme;
  put_f16(bytes, kScaleAt, 1 / inverse);
  for (std::size_t j = 0; j < scales.size(); ++j) {
    const auto scale =
        static_cast<std::int8_t>(std::min(127, nearest_by_bits(inverse * scales[j])));
    bytes[kScalesAt + j] = static_cast<std::uint8_t>(scale);
    const float step = get_f16(bytes, kScaleAt) * static_cast<float>(scale);
    for (std::size_t i = 0; i < kSixPart; ++i) {
      const std::size_t at = kSixPart * j + i;
      const int found = std::clamp(nearest_by_bits(values[at] / step), -kSixHalf, kSixHalf - 1);
      const int code = (step != 0 ? found : fitted[j][i]) + kSixHalf;
      const std::size_t in_128 = at % 128, row = in_128 % 64, column = in_128 % 32;
      bytes[at / 128 * 64 + row] |= static_cast<std::uint8_t>((code & 15) << (in_128 < 64 ? 0 : 4));
      bytes[kPairsAt + at / 128 * 32 + column] |=
          static_cast<std::uint8_t>((code >> 4) << (2 * (in_128 / 32)));
    }
  }
}

}  // namespace loraproof::quant
