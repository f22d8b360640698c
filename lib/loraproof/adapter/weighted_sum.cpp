// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/weighted_sum.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "loraproof/core/error.h"

namespace loraproof::adapter {
namespace {

[[noreturn]] void refuse(const char* message, const std::string& module,
                         const WeightedPatches& term) {
  throw input_error({.message = message,
                     .where = module,
                     .found = fmt::format("adapter {} with weight {}", term.name, term.weight)});
}

void replace(at::Tensor& tensor, const at::Tensor& by, const std::string& module,
             const WeightedPatches& term) {
  if (!by.defined()) return;
  if (term.weight != 1) refuse("a replaced tensor can't be weighted", module, term);
  if (tensor.defined() && !at::equal(tensor, by))
    refuse("two adapters replace the same tensor by different ones", module, term);
  tensor = by;
}

// Brings the scale into B and the bias, so that terms can stand side by side.
void fold_scale(ModulePatch& patch) {
  patch.lora_b = (patch.lora_b.to(at::kDouble) * patch.scale).to(at::kFloat);
  if (patch.lora_bias.defined())
    patch.lora_bias = (patch.lora_bias.to(at::kDouble) * patch.scale).to(at::kFloat);
  patch.scale = 1;
}

void add_low_rank(ModulePatch& sum, const ModulePatch& patch, const std::string& module,
                  const WeightedPatches& term) {
  if (!patch.has_lora()) return;
  const bool dora = patch.magnitude.defined() || sum.magnitude.defined();
  if (dora && (sum.has_lora() || term.weight != 1))
    refuse("DoRA is no sum: it takes no weight and no second adapter", module, term);
  ModulePatch added = patch;
  added.scale *= term.weight;
  if (!sum.has_lora()) {
    sum.lora_a = added.lora_a;
    sum.lora_b = added.lora_b;
    sum.lora_bias = added.lora_bias;
    sum.scale = added.scale;
    sum.magnitude = added.magnitude;
    return;
  }
  fold_scale(sum);
  fold_scale(added);
  sum.lora_a = at::cat({sum.lora_a, added.lora_a}, 0);  // [R1 + R2, I]
  sum.lora_b = at::cat({sum.lora_b, added.lora_b}, 1);  // [O, R1 + R2]
  if (!added.lora_bias.defined()) return;
  sum.lora_bias = sum.lora_bias.defined() ? sum.lora_bias + added.lora_bias : added.lora_bias;
}

}  // namespace

PatchSet weighted_sum(std::span<const WeightedPatches> terms) {
  PatchSet sum;
  for (const WeightedPatches& term : terms) {
    for (const auto& [module, patch] : *term.patches) {
      ModulePatch& total = sum[module];
      replace(total.weight, patch.weight, module, term);
      replace(total.bias, patch.bias, module, term);
      add_low_rank(total, patch, module, term);
    }
  }
  return sum;
}

}  // namespace loraproof::adapter
