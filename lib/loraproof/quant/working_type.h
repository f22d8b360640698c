// SPDX-License-Identifier: Apache-2.0
// Arithmetic as torch does it in a 16-bit type: each operation in f32, its result rounded.
#pragma once

#include <span>

#include "loraproof/io/tensor_view.h"

namespace loraproof::quant {

/// The nearest values of BF16, F16 or F32, ties to even.
void round_to(io::DType dtype, std::span<float> values);

/// Distance from 1 to the next number of BF16, F16 or F32 (torch.finfo(dtype).eps).
[[nodiscard]] float epsilon_of(io::DType dtype);
/// Smallest normal number (torch.finfo(dtype).tiny).
[[nodiscard]] float smallest_normal_of(io::DType dtype);

/// NaN counts as largest, as in torch.
[[nodiscard]] float largest_magnitude(std::span<const float> values);

/// Ties to even, for magnitudes below 2^22. Vectorises.
[[nodiscard]] inline float nearest_integer(float value) {
  constexpr float kShift = 12582912.0F;  // 1.5 * 2^23: the step of f32 is 1 there
  return (value + kShift) - kShift;
}

}  // namespace loraproof::quant
