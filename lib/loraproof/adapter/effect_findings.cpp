// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/adapter/effect.h"
#include "loraproof/adapter/finding_list.h"

namespace loraproof::adapter {
namespace {

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

}  // namespace

ScaleSummary summarise_scale(const EffectSums& sums, const PatchSet& patches, bool use_rslora) {
  ScaleSummary summary;
  std::vector<double> ratios, others;
  for (const auto& [path, effect] : sums.modules()) {
    const double ratio = effect.ratio();
    ratios.push_back(ratio);
    const auto patch = patches.find(path);
    const double rank = patch != patches.end() && patch->second.has_lora()
                            ? static_cast<double>(patch->second.lora_a.size(0))
                            : 1.0;
    others.push_back(use_rslora ? ratio / std::sqrt(rank) : ratio * std::sqrt(rank));
    if (summary.max_module.empty() || ratio > summary.max_ratio) {
      summary.max_ratio = ratio;
      summary.max_module = path;
    }
  }
  summary.modules = static_cast<std::int64_t>(ratios.size());
  summary.median_ratio = median(ratios);
  summary.other_median_ratio = median(others);
  return summary;
}

std::vector<Finding> find_implausible_scale(const ScaleSummary& summary, bool use_rslora,
                                            const ScaleLimits& limits) {
  const bool median_high = summary.median_ratio > limits.median;
  const bool max_high = summary.max_ratio > limits.max;
  if (summary.modules == 0 || (!median_high && !max_high)) return {};
  Finding finding;
  finding.id = "effect.scale";
  finding.fail = false;
  finding.n = summary.modules;
  finding.subject = median_high ? "adapter" : summary.max_module;
  finding.message =
      median_high
          ? fmt::format("the median module changes by {:.3g} of its weight's norm (limit {:.3g})",
                        summary.median_ratio, limits.median)
          : fmt::format("this module changes by {:.3g} of its weight's norm (limit {:.3g})",
                        summary.max_ratio, limits.max);
  finding.hint = use_rslora ? fmt::format(
                                  "use_rslora scales by alpha/sqrt(r); with alpha/r the median "
                                  "would be {:.3g}: check use_rslora, lora_alpha and r",
                                  summary.other_median_ratio)
                            : "check lora_alpha, r and alpha_pattern against the training";
  return {finding};
}

}  // namespace loraproof::adapter
