// SPDX-License-Identifier: Apache-2.0
// A weight with its adapter in it, in memory: what `loraproof merge` writes.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include "loraproof/adapter/patch.h"
#include "loraproof/nn/linear.h"

namespace loraproof::deploy {

/// `base.weight` [O, I] (BF16, F16 or F32, CPU) with the patch of a linear layer, in the type
/// `out`: summed in f64, scaled by DoRA, rounded once. The bias likewise.
[[nodiscard]] nn::LinearWeights merged_weight(const nn::LinearWeights& base,
                                              const adapter::ModulePatch& patch,
                                              at::ScalarType out);

/// What the patch of a linear layer is meant to change in `weight` [O, I] (CPU): f32 [O, I],
/// computed in f32, for sums over it. merged_weight() in f32 decides each tie exactly, and products
/// of 16-bit factors are full of ties.
[[nodiscard]] at::Tensor intended_change(const at::Tensor& weight,
                                         const adapter::ModulePatch& patch);

}  // namespace loraproof::deploy
