// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/landing.h"

#include <ATen/ATen.h>
#include <map>
#include <utility>

#include "loraproof/adapter/zero_effect.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::adapter {
namespace {

/// A copy in f32; undefined for null.
at::Tensor widened(const io::TensorView* view) {
  if (view == nullptr) return {};
  return tensor::tensor_of(*view).to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

/// Copies in the file's type. A tensor that reaches several modules (a tied weight) is copied once.
class Copies {
 public:
  /// Undefined for null.
  at::Tensor of(const io::TensorView* view) {
    if (view == nullptr) return {};
    const auto [copy, fresh] = copies_.try_emplace(view);
    if (fresh) copy->second = tensor::tensor_of(*view).clone();
    return copy->second;
  }

 private:
  std::map<const io::TensorView*, at::Tensor> copies_;
};

}  // namespace

PatchSet patches_of(const Placement& placement) {
  PatchSet patches;
  Copies copies;
  for (const auto& [path, placed] : placement.modules) {
    patches[path] = {.lora_a = widened(placed.lora_a),
                     .lora_b = widened(placed.lora_b),
                     .lora_bias = widened(placed.lora_bias),
                     .scale = placed.scale,
                     .magnitude = widened(placed.magnitude),
                     .weight = copies.of(placed.weight),
                     .bias = copies.of(placed.bias)};
  }
  return patches;
}

Landing land(const AdapterConfig& config, const io::SafetensorsFile& file,
             const BaseModules& base) {
  Placement placement = place(config, file, base);
  Landing landing;
  landing.zero_effect = find_zero_effect(placement.modules, delta_norms(placement.modules));
  landing.patches = patches_of(placement);
  static_cast<PlacementSummary&>(landing) = std::move(placement);
  return landing;
}

}  // namespace loraproof::adapter
