// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/already_merged.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "loraproof/commands/measures_base.h"

namespace loraproof::commands {

report::Measure already_merged(std::span<const merge::FileResult> files,
                               std::span<const double> weights) {
  double inner = 0, delta2 = 0, chance2 = 0;
  std::int64_t modules = 0;
  for (const merge::FileResult& file : files) {
    for (const merge::TensorResult& tensor : file.touched) {
      const merge::MergeSums& sums = tensor.sums;
      if (!(sums.summed2 > 0)) continue;
      ++modules;
      inner += sums.inner;
      delta2 += sums.summed2;
      chance2 += sums.base2 * sums.summed2 / static_cast<double>(sums.elements);
    }
  }
  if (modules == 0) return skipped("effect.already_merged", "no weight was changed by a sum");
  // With weight w the change is wD, and <W,wD>/<wD,wD> is a w-th of the share of D.
  const bool equal = std::ranges::adjacent_find(weights, std::not_equal_to<>()) == weights.end();
  const double weight = equal && !weights.empty() ? weights.front() : 1;
  report::Measure measure = already_merged_measure(
      weight * inner / delta2, std::fabs(weight) * std::sqrt(chance2) / delta2, modules);
  // So faint a change can't be told from chance, which is no reason against writing it.
  if (measure.outcome == report::Outcome::Inconclusive) measure.outcome = report::Outcome::Skipped;
  return measure;
}

}  // namespace loraproof::commands
