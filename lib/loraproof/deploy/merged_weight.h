// SPDX-License-Identifier: Apache-2.0
// A weight with its adapter in it, in memory: what `loraproof merge` writes.
#pragma once

#include <ATen/core/Tensor.h>

#include "loraproof/adapter/patch.h"
#include "loraproof/nn/linear.h"

namespace loraproof::deploy {

/// `base.weight` [O, I] (BF16, F16 or F32, CPU) with the patch of a linear layer: summed in f64,
/// scaled by DoRA, rounded once to the weight's type. The bias likewise.
[[nodiscard]] nn::LinearWeights merged_weight(const nn::LinearWeights& base,
                                              const adapter::ModulePatch& patch);

/// The change that the patch makes to the weight, [O, I] f32; zero where it replaces nothing.
[[nodiscard]] at::Tensor dense_change(const at::Tensor& weight, const adapter::ModulePatch& patch);

}  // namespace loraproof::deploy
