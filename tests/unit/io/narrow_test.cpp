// SPDX-License-Identifier: Apache-2.0
// f32 to and from 16 bits, by definition: the nearest value, ties to the even one.
#include "loraproof/io/narrow.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"
#include "support/catch.h"

namespace loraproof::io {
namespace {

std::uint16_t bits_of(DType dtype, float value) {
  std::uint16_t bits = 0;
  std::byte bytes[2];
  narrow(dtype, std::span(&value, 1), bytes);
  std::memcpy(&bits, bytes, 2);
  return bits;
}

float value_of(DType dtype, std::uint16_t bits) {
  std::byte bytes[2];
  std::memcpy(bytes, &bits, 2);
  float value = 0;
  widen(dtype, bytes, std::span(&value, 1));
  return value;
}

// IEEE 754: sign, exponent and fraction of these widths.
float by_definition(DType dtype, std::uint16_t bits) {
  const int fraction_bits = dtype == DType::BF16 ? 7 : 10;
  const int exponent_bits = 15 - fraction_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits & 0x7FFF) >> fraction_bits;
  const int fraction = bits & ((1 << fraction_bits) - 1);
  double magnitude = 0;
  if (exponent == (1 << exponent_bits) - 1) {
    magnitude = fraction == 0 ? HUGE_VAL : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(fraction, 1 - bias - fraction_bits);
  } else {
    magnitude = std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
  }
  return static_cast<float>((bits & 0x8000) != 0 ? -magnitude : magnitude);
}

}  // namespace

TEST_CASE("every value of 16 bits is widened as its definition says, and comes back") {
  const DType dtype = GENERATE(DType::BF16, DType::F16);
  int wrong = 0;
  for (int i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float expected = by_definition(dtype, bits);
    const float value = value_of(dtype, bits);
    if (std::isnan(expected)) {
      wrong += std::isnan(value) && std::isnan(value_of(dtype, bits_of(dtype, value))) ? 0 : 1;
    } else {
      wrong += std::bit_cast<std::uint32_t>(value) == std::bit_cast<std::uint32_t>(expected) &&
                       bits_of(dtype, value) == bits
                   ? 0
                   : 1;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("between two neighbours of 16 bits the nearer one wins, in the middle the even one") {
  const DType dtype = GENERATE(DType::BF16, DType::F16);
  const std::uint16_t infinity = dtype == DType::BF16 ? 0x7F80 : 0x7C00;
  int wrong = 0;
  for (std::uint16_t bits = 0; bits < infinity; ++bits) {
    const double low = value_of(dtype, bits);
    const double high = bits + 1 < infinity ? value_of(dtype, static_cast<std::uint16_t>(bits + 1))
                                            : low + (low - value_of(dtype, bits - 1));
    const auto middle = static_cast<float>(low + (high - low) / 2);  // f32 has it exactly
    const int even = bits % 2 == 0 ? bits : bits + 1;
    wrong += bits_of(dtype, middle) == even ? 0 : 1;
    wrong += bits_of(dtype, -middle) == (even | 0x8000) ? 0 : 1;
    wrong += bits_of(dtype, std::nextafterf(middle, 0)) == bits ? 0 : 1;
    wrong += bits_of(dtype, std::nextafterf(middle, HUGE_VALF)) == bits + 1 ? 0 : 1;
  }
  CHECK(wrong == 0);
  CHECK(bits_of(dtype, std::numeric_limits<float>::infinity()) == infinity);
  CHECK(bits_of(dtype, std::numeric_limits<float>::max()) == infinity);
}

TEST_CASE("rounding to 16 bit is to nearest, ties to even, with subnormals and overflow") {
  CHECK(rounded_to(DType::BF16, 1.0f + 0x1p-8f) == 1.0f);
  CHECK(rounded_to(DType::BF16, 1.0f + 0x1.8p-7f) == 1.0f + 0x1p-6f);
  CHECK(std::isinf(rounded_to(DType::BF16, std::numeric_limits<float>::max())));
  CHECK(std::isnan(rounded_to(DType::BF16, std::nanf(""))));
  CHECK(rounded_to(DType::F16, 1.0f + 0x1p-11f) == 1.0f);
  CHECK(rounded_to(DType::F16, 1.0f + 0x1.8p-10f) == 1.0f + 0x1p-9f);
  CHECK(rounded_to(DType::F16, 65519.0f) == 65504.0f);
  CHECK(std::isinf(rounded_to(DType::F16, -65520.0f)));
  CHECK(rounded_to(DType::F16, 0x1p-25f) == 0.0f);
  CHECK(rounded_to(DType::F16, 0x1.8p-25f) == 0x1p-24f);
  CHECK(rounded_to(DType::F16, 0x1.ff8p-15f) == 0x1.ff8p-15f);  // the largest subnormal
  CHECK(rounded_to(DType::F16, 0x1.ffcp-15f) == 0x1p-14f);
  // Every F16 is itself.
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const float value = f16_value(static_cast<std::uint16_t>(bits));
    REQUIRE(rounded_to(DType::F16, value) == value);
    REQUIRE(rounded_to(DType::F16, -value) == -value);
  }
}

TEST_CASE("types that hold no weights are no types to round to") {
  float value = 1;
  std::byte bytes[8];
  CHECK_THROWS_AS(narrow(DType::I8, std::span(&value, 1), bytes), Error);
  CHECK_THROWS_AS(widen(DType::F64, bytes, std::span(&value, 1)), Error);
}

}  // namespace loraproof::io
