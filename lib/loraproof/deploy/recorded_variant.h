// SPDX-License-Identifier: Apache-2.0
// A variant of the base that remembers what it did to each weight.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "loraproof/engine/weight_variant.h"
#include "loraproof/merge/low_rank.h"
#include "loraproof/quant/quantiser.h"

namespace loraproof::deploy {

/// What happened to one weight. Sums run in f32.
struct WeightDamage {
  /// Of the intended change D and the deployed one E = deployed weight - W; survival() is rho.
  merge::MergeSums change;
  double error2 = 0;  ///< squares of what quantising alone changed
  std::uint64_t bytes = 0;
  quant::Tally tally;

  WeightDamage& operator+=(const WeightDamage& other);
  /// Of quantising, in dB: 10 log10(<W,W> / error2); infinite without an error.
  [[nodiscard]] double sqnr() const;
};

/// Makes weights as they are asked for; remembers the damage to each module from the first time.
/// Used from one thread.
class RecordedVariant : public engine::WeightVariant {
 public:
  [[nodiscard]] nn::LinearWeights linear(const std::string& module,
                                         const nn::LinearWeights& base) const override;

  /// By module, of those that were asked for.
  [[nodiscard]] const std::map<std::string, WeightDamage>& damage() const { return damage_; }
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

  mutable std::map<std::string, WeightDamage> damage_;
  mutable bool kept_ = false;
  mutable std::map<std::string, nn::LinearWeights> made_;
};

}  // namespace loraproof::deploy
