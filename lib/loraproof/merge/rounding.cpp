// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/rounding.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "loraproof/core/error.h"

namespace loraproof::merge {
namespace {

using io::DType;

// Layout of a binary format narrower than f64.
struct Format {
  int fraction_bits;
  int min_exponent;  // of the smallest normal value
};

Format format_of(DType dtype) {
  switch (dtype) {
    case DType::BF16: return {7, -126};
    case DType::F16: return {10, -14};
    case DType::F32: return {23, -126};
    default: throw internal_error({.message = "not a type that weights are rounded to"});
  }
}

// Tensors of a safetensors file may lie anywhere.
template <typename Stored>
void store(std::byte* at, Stored value) {
  std::memcpy(at, &value, sizeof value);
}

// The f32 next to `value` towards zero, its last bit set unless that is exact ("round to odd").
// Rounding it again to a format with at least two bits less gives what rounding `value` at once
// would (Boldo and Melquiond 2008).
std::uint32_t odd_f32_bits(double value) {
  const auto nearest = static_cast<float>(value);
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  const bool exact = static_cast<double>(nearest) == value;
  const bool is_nan = value != value;
  const bool beyond = std::fabs(static_cast<double>(nearest)) > std::fabs(value);
  bits -= beyond ? 1 : 0;
  bits |= exact || is_nan ? 0 : 1;
  return bits;
}

std::uint16_t bf16_of(double value) {
  const std::uint32_t bits = odd_f32_bits(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

std::uint16_t f16_of(double value) {
  const std::uint32_t bits = odd_f32_bits(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);   // NaN
  if (magnitude >= 0x47800000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // 2^16, inf
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  // Bits below the last one of f16; subnormals have fewer, and their leading 1 is no hidden bit.
  const bool subnormal = exponent < -14;
  const int dropped = subnormal ? 13 + (-14 - exponent) : 13;
  if (dropped > 25) return sign;  // below half of the smallest subnormal
  const std::uint32_t significand = (magnitude & 0x7FFFFFU) | 0x800000U;
  const std::uint32_t kept = significand >> dropped;
  const std::uint32_t rest = significand & ((1U << dropped) - 1);
  const std::uint32_t half = 1U << (dropped - 1);
  const std::uint32_t up = rest > half || (rest == half && (kept & 1U) != 0) ? 1 : 0;
  // A carry out of the fraction is the next exponent, as it should be.
  const std::uint32_t base =
      subnormal ? kept : (static_cast<std::uint32_t>(exponent + 15) << 10) + (kept - 0x400U);
  return static_cast<std::uint16_t>(sign | (base + up));
}

}  // namespace

bool is_mergeable(DType dtype) {
  return dtype == DType::BF16 || dtype == DType::F16 || dtype == DType::F32 || dtype == DType::F64;
}

void round_to(DType dtype, std::span<const double> values, std::span<std::byte> bytes) {
  std::byte* at = bytes.data();
  switch (dtype) {
    case DType::BF16:
      for (const double value : values) {
        store(at, bf16_of(value));
        at += 2;
      }
      return;
    case DType::F16:
      for (const double value : values) {
        store(at, f16_of(value));
        at += 2;
      }
      return;
    case DType::F32:
      for (const double value : values) {
        store(at, static_cast<float>(value));
        at += 4;
      }
      return;
    default: throw internal_error({.message = "not a type that weights are rounded to"});
  }
}

double ulp_at(DType dtype, double value) {
  const Format format = format_of(dtype);
  const int exponent =
      value == 0 ? format.min_exponent : std::max(std::ilogb(value), format.min_exponent);
  return std::ldexp(1.0, exponent - format.fraction_bits);
}

bool is_undecided(DType dtype, double value, double error) {
  std::byte low[8], high[8];
  const double bounds[] = {value - error, value + error};
  round_to(dtype, std::span(bounds, 1), low);
  round_to(dtype, std::span(bounds + 1, 1), high);
  return std::memcmp(low, high, io::size_of(dtype)) != 0;
}

bool may_be_undecided(DType dtype, double value) {
  const Format format = format_of(dtype);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const int exponent = static_cast<int>(bits >> 52 & 0x7FF) - 1023;
  int dropped = 52 - format.fraction_bits;
  if (exponent < format.min_exponent) dropped += format.min_exponent - exponent;
  if (dropped >= 52) return value != 0;
  const std::uint64_t rest = bits & ((std::uint64_t{1} << dropped) - 1);
  const std::uint64_t half = std::uint64_t{1} << (dropped - 1);
  const std::uint64_t distance = rest > half ? rest - half : half - rest;
  return distance <= half >> (dtype == DType::F32 ? kNearTieShiftF32 : kNearTieShift);
}

}  // namespace loraproof::merge
