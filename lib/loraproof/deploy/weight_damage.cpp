// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/weight_damage.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <limits>

namespace loraproof::deploy {
namespace {

// <a, b> by columns, [I] f64.
at::Tensor column_products(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).sum(0).to(at::kDouble);
}

}  // namespace

WeightDamage& WeightDamage::operator+=(const WeightDamage& other) {
  change += other.change;
  weighted += other.weighted;
  error2 += other.error2;
  outlier_channels += other.outlier_channels;
  largest_input = std::max(largest_input, other.largest_input);
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

double WeightDamage::output_error() const {
  const merge::MergeSums& sums = weighted.base2 > 0 ? weighted : change;
  if (sums.base2 <= 0) return 0;
  return std::max(0.0, sums.actual2 - 2 * sums.survived + sums.intended2) / sums.base2;
}

void add_sums(WeightDamage& damage, const at::Tensor& base, const at::Tensor& intended,
              const at::Tensor& actual, const InputStatistics* inputs) {
  const auto add = [&](double merge::MergeSums::*sum, const at::Tensor& columns) {
    damage.change.*sum += columns.sum().item<double>();
    if (inputs == nullptr) return;
    damage.weighted.*sum += at::dot(columns, inputs->mean_squares()).item<double>();
  };
  damage.change.elements = base.numel();
  add(&merge::MergeSums::base2, column_products(base, base));
  add(&merge::MergeSums::actual2, column_products(actual, actual));
  if (intended.defined()) {
    add(&merge::MergeSums::intended2, column_products(intended, intended));
    add(&merge::MergeSums::survived, column_products(actual, intended));
  }
  if (inputs == nullptr) return;
  damage.outlier_channels = inputs->outlier_channels();
  damage.largest_input = inputs->largest();
}

}  // namespace loraproof::deploy
