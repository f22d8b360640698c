// SPDX-License-Identifier: Apache-2.0
// Inputs of a layer as a scheme with quantised activations computes with them.
#pragma once

#include <ATen/core/Tensor.h>

#include "loraproof/quant/inputs.h"

namespace loraproof::deploy {

/// x [N, I] in the compute type -> the same type, through the codes of `inputs`, whose scale must
/// be known. Tokens are told apart, so that LLM.int8()'s outliers are those of each token, as when
/// it is decoded alone (bitsandbytes keeps in 16 bit what is one in any row of a batch). Sources:
/// compressed_tensors/quantization/lifecycle/forward.py and utils/helpers.py; bitsandbytes
/// int8_vectorwise_quant and int8_mixed_scaled_mm; act_quant of DeepSeek-V3; Int8Tensor.from_hp and
/// Float8Tensor.from_hp (its kernel in torch) of torchao 0.18.
[[nodiscard]] at::Tensor quantised_inputs(const quant::Inputs& inputs, const at::Tensor& x);

}  // namespace loraproof::deploy
