// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/weight_variant.h"

#include <string_view>

namespace loraproof::engine {

model::LayerWeights layer_of(const WeightVariant& variant, const model::DecoderConfig& config,
                             std::int64_t layer, const model::LayerWeights& base) {
  constexpr std::string_view kSuffix = ".weight";
  model::LayerWeights weights = base;
  for (const model::WeightSlot& slot : model::layer_slots(config, layer)) {
    if (slot.linear == nullptr || slot.is_bias) continue;
    const std::string module = slot.name.substr(0, slot.name.size() - kSuffix.size());
    weights.*slot.linear = variant.linear(module, base.*slot.linear);
  }
  return weights;
}

}  // namespace loraproof::engine
