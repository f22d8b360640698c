// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/lane.h"

#include <ATen/ATen.h>
#include <utility>

namespace loraproof::engine {

Lane make_lane(std::string name, const adapter::PatchSet& patches, at::ScalarType compute,
               at::Device device) {
  Lane lane{.name = std::move(name), .patches = patches};
  for (auto& [module, patch] : lane.patches) {
    for (at::Tensor* factor : {&patch.lora_a, &patch.lora_b, &patch.lora_bias, &patch.magnitude}) {
      if (factor->defined()) *factor = factor->to(device, at::kFloat).contiguous();
    }
    for (at::Tensor* replacement : {&patch.weight, &patch.bias}) {
      if (replacement->defined()) *replacement = replacement->to(device, compute).contiguous();
    }
  }
  return lane;
}

}  // namespace loraproof::engine
