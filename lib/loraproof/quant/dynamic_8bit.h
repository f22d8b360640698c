// SPDX-License-Identifier: Apache-2.0
// The signed dynamic 8-bit type of bitsandbytes (functional.create_dynamic_map): 1 sign bit, up to
// 7 bits of decimal exponent, the rest linear. Here for the scales of double quantisation.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace loraproof::quant {

/// The 256 levels, rising from about -0.993 to 1.
[[nodiscard]] const std::array<float, 256>& dynamic_levels();

/// As quantize_blockwise on CPU with one block: returns the largest magnitude and sets the codes. A
/// block of zeros has code 0.
float quantise_dynamic(std::span<const float> values, std::span<std::uint8_t> codes);

}  // namespace loraproof::quant
