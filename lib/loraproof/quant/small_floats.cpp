// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/small_floats.h"

#include <limits>

namespace loraproof::quant {
namespace {

std::array<float, 256> make_values() {
  std::array<float, 256> values{};
  for (int code = 0; code < 256; ++code) {
    const int exponent = code >> 3 & 15, fraction = code & 7;
    float value = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                                : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    if ((code & 0x7F) == 0x7F) value = std::numeric_limits<float>::quiet_NaN();
    values[static_cast<std::size_t>(code)] = (code & 0x80) != 0 ? -value : value;
  }
  return values;
}

}  // namespace

const std::array<float, 256>& e4m3_values() {
  static const std::array<float, 256> values = make_values();
  return values;
}

}  // namespace loraproof::quant
