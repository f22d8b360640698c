// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/commands/measures.h"

namespace loraproof::commands {
using report::Measure;

Measures effect_measures(const adapter::EffectSums& sums, const adapter::PatchSet& patches,
                         bool use_rslora) {
  if (sums.modules().empty()) {
    return {skipped("effect.scale", "the adapter has no low-rank update"),
            skipped("effect.already_merged", "the adapter has no low-rank update")};
  }
  const adapter::ScaleSummary scale = adapter::summarise_scale(sums, patches, use_rslora);
  Measure ratio{
      .id = "effect.scale",
      .value = scale.median_ratio,
      .n = scale.modules,
      .message = fmt::format(
          "median of |change| / |weight| over the modules; largest {:.3g} in {}; "
          "{:.3g} with use_rslora {}",
          scale.max_ratio, scale.max_module, scale.other_median_ratio, use_rslora ? "off" : "on"),
      .hint =
          "check lora_alpha, r and use_rslora against the training run: a wrong flag scales "
          "the adapter by the square root of the rank"};
  return {ratio, already_merged_measure(sums.merged_coefficient(), sums.merged_coefficient_sigma(),
                                        static_cast<std::int64_t>(sums.modules().size()))};
}

}  // namespace loraproof::commands
