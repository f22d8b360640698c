// SPDX-License-Identifier: Apache-2.0
// y = x Wᵀ + b with an adapter applied, unmerged: the only place where an adapter touches a
// forward. The arithmetic follows PEFT (peft/tuners/lora/layer.py Linear.forward, dora.py
// DoraLinearLayer): the low-rank path runs in f32, is added to the base result in f32 and rounded
// once.
#pragma once

#include <ATen/core/Tensor.h>
#include <functional>

#include "loraproof/adapter/patch.h"

namespace loraproof::nn {

struct LinearWeights {
  at::Tensor weight;  ///< [O, I] in the compute type
  at::Tensor bias;    ///< [O] in the compute type, or undefined
  /// What the weight is multiplied with instead of x [N, I]: quantised inputs. Empty: x. An adapter
  /// beside the weight sees x, as servers have it, and so does a weight that it replaces this with.
  std::function<at::Tensor(const at::Tensor& x)> inputs = {};
};

/// x [N, I] in the compute type -> [N, O] in the compute type. `patch` may be null; its tensors
/// must be on x's device, its replacements in the compute type (see engine/lane.h).
[[nodiscard]] at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                                const adapter::ModulePatch* patch);

/// Rows of an embedding table. ids [N] i64, weight [V, D] -> [N, D] in the table's type; an
/// embedding LoRA adds s * (A[:, ids]ᵀ Bᵀ), DoRA scales the columns of the sum (PEFT
/// lora.Embedding.forward).
[[nodiscard]] at::Tensor embedding(const at::Tensor& ids, const at::Tensor& weight,
                                   const adapter::ModulePatch* patch);

}  // namespace loraproof::nn
