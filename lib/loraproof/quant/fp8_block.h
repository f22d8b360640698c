// SPDX-License-Identifier: Apache-2.0
// E4M3 with an F32 scale for each tile of 128 x 128, as transformers 5 stores a DeepSeek checkpoint
// (integrations/finegrained_fp8.py, Fp8Quantize and Fp8Dequantize): `weight` and
// `weight_scale_inv`.
#pragma once

#include <memory>

#include "loraproof/quant/quantiser.h"

namespace loraproof::quant {

/// Scales are those of weight_scale_inv, [O / 128, I / 128]. Values have the type of the weights.
/// Input Error where a side is no multiple of 128: transformers leaves such a matrix as it is.
[[nodiscard]] std::unique_ptr<Quantiser> make_fp8_block(const Shape& shape);
[[nodiscard]] bool passed_over_by_fp8_block(const Shape& shape);

}  // namespace loraproof::quant
