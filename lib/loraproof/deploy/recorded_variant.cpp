// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/recorded_variant.h"

namespace loraproof::deploy {

void RecordedVariant::keep(bool kept) const {
  kept_ = kept;
  made_.clear();
}

nn::LinearWeights RecordedVariant::linear(const std::string& module,
                                          const nn::LinearWeights& base) const {
  if (!changes(module)) return base;
  if (module == model::kHead && head_of_ != nullptr) {
    nn::LinearWeights head = head_of_->linear(module, base);
    record(module, head_of_->damage().at(module));
    return head;
  }
  if (const auto made = made_.find(module); made != made_.end()) return made->second;
  const nn::LinearWeights weights = make(module, base);
  // The head is asked for with every block of rows.
  if (kept_ || module == model::kHead) made_[module] = weights;
  return weights;
}

void RecordedVariant::record(const std::string& module, const WeightDamage& damage) const {
  damage_.emplace(module, damage);
}

}  // namespace loraproof::deploy
