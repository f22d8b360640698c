// SPDX-License-Identifier: Apache-2.0
// Rounding to the types of weights, by its definition: the nearest value, ties to the even one.
#include "loraproof/merge/rounding.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "loraproof/io/element_values.h"
#include "support/catch.h"

namespace loraproof::merge {
namespace {

using io::DType;

double value_of(DType dtype, std::uint16_t bits) {
  std::byte bytes[2];
  std::memcpy(bytes, &bits, 2);
  double value = 0;
  io::widen(dtype, bytes, std::span(&value, 1));
  return value;
}

std::uint16_t bits_of(DType dtype, double value) {
  std::byte bytes[2];
  round_to(dtype, std::span(&value, 1), bytes);
  std::uint16_t bits = 0;
  std::memcpy(&bits, bytes, 2);
  return bits;
}

}  // namespace

TEST_CASE("all values of 16 bits survive, and between two neighbours the nearer or even one wins") {
  const DType dtype = GENERATE(DType::BF16, DType::F16);
  const std::uint16_t infinity = dtype == DType::BF16 ? 0x7F80 : 0x7C00;
  std::int64_t wrong = 0;
  for (std::uint16_t bits = 0; bits < infinity; ++bits) {
    const double low = value_of(dtype, bits);
    // The one after the largest is where overflow begins to be nearer: as if there were another.
    const double high = bits + 1 < infinity ? value_of(dtype, static_cast<std::uint16_t>(bits + 1))
                                            : low + (low - value_of(dtype, bits - 1));
    const double middle = low + (high - low) / 2;
    const std::uint16_t even = bits % 2 == 0 ? bits : static_cast<std::uint16_t>(bits + 1);
    wrong += bits_of(dtype, low) != bits ? 1 : 0;
    wrong += bits_of(dtype, -low) != (bits | 0x8000) ? 1 : 0;
    wrong += bits_of(dtype, middle) != even ? 1 : 0;
    wrong += bits_of(dtype, std::nextafter(middle, 0.0)) != bits ? 1 : 0;
    wrong += bits_of(dtype, std::nextafter(middle, HUGE_VAL)) != bits + 1 ? 1 : 0;
    wrong += bits_of(dtype, -std::nextafter(middle, HUGE_VAL)) != ((bits + 1) | 0x8000) ? 1 : 0;
    wrong += may_be_undecided(dtype, middle) && may_be_undecided(dtype, std::nextafter(middle, 0.0))
                 ? 0
                 : 1;
    wrong += is_undecided(dtype, middle, std::fabs(middle) * 1e-15) ? 0 : 1;
    wrong += is_undecided(dtype, low, std::fabs(low) * 1e-15) && low != 0 ? 1 : 0;
  }
  CHECK(wrong == 0);
  CHECK(bits_of(dtype, HUGE_VAL) == infinity);
  CHECK(bits_of(dtype, 1e300) == infinity);
  CHECK(std::isnan(value_of(dtype, bits_of(dtype, std::nan("")))));
  CHECK(bits_of(dtype, -0.0) == 0x8000);
  CHECK(bits_of(dtype, std::numeric_limits<double>::denorm_min()) == 0);
}

TEST_CASE("rounding through f32 would be wrong where it is right") {
  // Just above the middle between 1 and 1 + 2^-7 by less than f32 can hold.
  const double above = 1 + 0x1p-8 + 0x1p-40;
  CHECK(bits_of(DType::BF16, above) == 0x3F81);
  CHECK(bits_of(DType::BF16, static_cast<double>(static_cast<float>(above))) == 0x3F80);
}

TEST_CASE("f32 is rounded by the machine, undecided only near the middle") {
  const float low = 1.5F, high = std::nextafter(low, 2.0F);
  const double middle = (static_cast<double>(low) + high) / 2;
  CHECK(may_be_undecided(DType::F32, middle));
  CHECK_FALSE(may_be_undecided(DType::F32, low));
  CHECK_FALSE(may_be_undecided(DType::F32, 0.0));
  CHECK(is_undecided(DType::F32, middle, 1e-15));
}

}  // namespace loraproof::merge
