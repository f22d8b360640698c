// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace loraproof::nn {

/// RMSNorm as transformers LlamaRMSNorm: statistics in f32, rounded to x's type, then times weight.
/// x [N, D], weight [D] -> [N, D] in x's type.
[[nodiscard]] at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace loraproof::nn
