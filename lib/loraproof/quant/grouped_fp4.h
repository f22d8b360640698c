// SPDX-License-Identifier: Apache-2.0
// E2M1 values in groups with an 8-bit scale, as compressed-tensors 0.20 computes them on CPU
// (calculate_qparams, generate_gparam, utils/mxfp_utils.py, compressors/nvfp4 and mxfp4):
//   NVFP4  groups of 16, scales in E4M3, and one F32 factor for the tensor
//   MXFP4  groups of 32, scales are powers of two. The largest value is rounded to a power of two
//          first, where the OCP specification and ggml take the power below it: other results.
// Its `decompress` gives BF16, whatever the weights were.
#pragma once

#include <memory>

#include "loraproof/quant/quantiser.h"

namespace loraproof::quant {

/// Codes are 0..15, scales what a code is multiplied with, scale_codes what is stored for it; NVFP4
/// has the tensor's factor in tensor_scales(). Input Error where a row is no whole number of
/// groups.
///
/// F16 weights of NVFP4 below 0.041 overflow the factor, which is 1 then: as in the library, a
/// large loss.
[[nodiscard]] std::unique_ptr<Quantiser> make_nvfp4(const Shape& shape);
[[nodiscard]] std::unique_ptr<Quantiser> make_mxfp4(const Shape& shape);

}  // namespace loraproof::quant
