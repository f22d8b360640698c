// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/adapter/effect.h"
#include "loraproof/adapter/finding_list.h"

namespace loraproof::adapter {
namespace {

bool is_zero(const at::Tensor& tensor) { return !tensor.any().item<bool>(); }

/// Which factor makes s·B·A vanish, or "".
std::string zero_cause(const ModulePatch& patch) {
  if (patch.scale == 0.0) return "the scale is 0 (lora_alpha or alpha_pattern)";
  if (is_zero(patch.lora_b)) return "lora_B is all zero, as before the first training step";
  if (is_zero(patch.lora_a)) return "lora_A is all zero";
  return delta_norm(patch) > 0.0 ? "" : "the product of lora_B and lora_A is zero";
}

bool changes_otherwise(const ModulePatch& patch) {
  const bool bias = patch.lora_bias.defined() && patch.scale != 0.0 && !is_zero(patch.lora_bias);
  return bias || patch.weight.defined() || patch.bias.defined();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

}  // namespace

std::vector<Finding> find_zero_effect(const PatchSet& patches) {
  FindingList findings;
  std::int64_t with_lora = 0;
  std::int64_t dead = 0;
  bool others_act = false;
  std::string first_cause;
  for (const auto& [path, patch] : patches) {
    with_lora += patch.has_lora() ? 1 : 0;
    others_act = others_act || changes_otherwise(patch);
  }
  for (const auto& [path, patch] : patches) {
    if (!patch.has_lora() || changes_otherwise(patch)) continue;
    const std::string cause = zero_cause(patch);
    if (cause.empty()) continue;
    ++dead;
    if (first_cause.empty()) first_cause = cause;
    const char* hint = patch.magnitude.defined()
                           ? "only DoRA's magnitude acts here; was the right checkpoint saved?"
                           : "was the right checkpoint saved, and was this module trained?";
    findings.add({"effect.zero_module", cause, path,
                  fmt::format("the adapter changes nothing in this module: {}", cause), hint, true,
                  with_lora, "modules"});
  }
  if (with_lora == 0 && !others_act) {
    return {{"effect.zero_adapter", "adapter", "the adapter holds nothing that changes the base",
             "check the landing findings"}};
  }
  if (dead > 0 && dead == with_lora && !others_act) {
    return {{"effect.zero_adapter", "adapter",
             fmt::format("the adapter changes nothing: in all {} modules {}", dead, first_cause),
             "was the adapter saved before training, or with another adapter active?", true, dead,
             with_lora}};
  }
  return findings.finish();
}

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
