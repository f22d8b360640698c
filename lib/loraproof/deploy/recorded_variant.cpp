// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/recorded_variant.h"

#include <cmath>
#include <limits>

namespace loraproof::deploy {

WeightDamage& WeightDamage::operator+=(const WeightDamage& other) {
  change += other.change;
  error2 += other.error2;
  bytes += other.bytes;
  tally.values += other.tally.values;
  tally.clipped += other.tally.clipped;
  tally.overflowed += other.tally.overflowed;
  tally.non_finite += other.tally.non_finite;
  return *this;
}

double WeightDamage::sqnr() const {
  if (error2 <= 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(change.base2 / error2);
}

void RecordedVariant::keep(bool kept) const {
  kept_ = kept;
  made_.clear();
}

nn::LinearWeights RecordedVariant::linear(const std::string& module,
                                          const nn::LinearWeights& base) const {
  if (!changes(module)) return base;
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
