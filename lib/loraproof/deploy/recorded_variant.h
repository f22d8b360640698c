// SPDX-License-Identifier: Apache-2.0
// A variant of the base that remembers what it did to each weight.
#pragma once

#include <map>
#include <string>

#include "loraproof/deploy/weight_damage.h"
#include "loraproof/engine/weight_variant.h"

namespace loraproof::deploy {

/// Makes weights as they are asked for; remembers the damage to each module from the first time.
/// Used from one thread.
class RecordedVariant : public engine::WeightVariant {
 public:
  [[nodiscard]] nn::LinearWeights linear(const std::string& module,
                                         const nn::LinearWeights& base) const override;

  /// By module, of those that were asked for.
  [[nodiscard]] const std::map<std::string, WeightDamage>& damage() const { return damage_; }
  /// The head is the same as in `other`, which outlives this: it is made and held once.
  void share_head(const RecordedVariant& other) { head_of_ = &other; }
  /// While set, made weights are kept: for decoding, which asks for each many times.
  void keep(bool kept) const;

 protected:
  void record(const std::string& module, const WeightDamage& damage) const;
  [[nodiscard]] bool is_recorded(const std::string& module) const {
    return damage_.contains(module);
  }

 private:
  [[nodiscard]] virtual nn::LinearWeights make(const std::string& module,
                                               const nn::LinearWeights& base) const = 0;

  const RecordedVariant* head_of_ = nullptr;
  mutable std::map<std::string, WeightDamage> damage_;
  mutable bool kept_ = false;
  mutable std::map<std::string, nn::LinearWeights> made_;
};

}  // namespace loraproof::deploy
