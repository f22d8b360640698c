// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include "loraproof/commands/measures.h"

namespace loraproof::commands {
namespace {

using report::Measure;
using report::Outcome;

Measure finding_measure(const adapter::Finding& finding) {
  return {.id = finding.id,
          .subject = finding.subject,
          .message = finding.message,
          .hint = finding.hint,
          .outcome = Outcome::Fail};  // whether that fails the gate is the rule's severity
}

std::set<std::string> ids_of(const std::vector<adapter::Finding>& findings) {
  std::set<std::string> ids;
  for (const adapter::Finding& finding : findings) ids.insert(finding.id);
  return ids;
}

}  // namespace

Measures landing_measures(const adapter::Landing& landing, bool has_base) {
  Measures measures;
  for (const adapter::Finding& finding : landing.findings)
    measures.push_back(finding_measure(finding));
  const std::set<std::string> found = ids_of(landing.findings);
  const std::set<std::string> needs_base = {"landing.unused_tensor", "landing.missing_target",
                                            "landing.shape"};
  const std::pair<const char*, const char*> families[] = {
      {"landing.unused_tensor", "every tensor of the adapter belongs to a module of the base"},
      {"landing.duplicate_target", "no two tensors land on the same place"},
      {"landing.missing_target", "every configured target has its tensors"},
      {"landing.shape", "all shapes fit the base"},
      {"landing.rank", "ranks agree with the configuration"},
      {"landing.half_pair", "A and B come in pairs"},
      {"landing.non_finite", "all values are finite"},
  };
  for (const auto& [id, message] : families) {
    if (found.contains(id)) continue;
    const bool decided = has_base || !needs_base.contains(id);
    measures.push_back(decided ? passed(id, message) : skipped(id, "needs --base"));
  }
  measures.push_back(
      {.id = "landing.summary",
       .n = landing.tensors,
       .message = fmt::format("{} of {} tensors landed on {} modules", landing.landed,
                              landing.tensors, landing.patches.size()),
       .outcome = Outcome::Pass});
  return measures;
}

Measures zero_effect_measures(const std::vector<adapter::Finding>& findings) {
  Measures measures;
  for (const adapter::Finding& finding : findings) measures.push_back(finding_measure(finding));
  const std::set<std::string> found = ids_of(findings);
  if (!found.contains("effect.zero_adapter")) {
    measures.push_back(passed("effect.zero_adapter", "the adapter changes the base"));
    if (!found.contains("effect.zero_module")) {
      measures.push_back(passed("effect.zero_module", "every adapted module is changed"));
    }
  }
  return measures;
}

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
  Measure merged{
      .id = "effect.already_merged",
      .value = sums.merged_coefficient(),
      .n = static_cast<std::int64_t>(sums.modules().size()),
      .message =
          fmt::format("share of the adapter's update found in the base: about 0 on the base it "
                      "was trained on, 1 where it is merged already (standard deviation by "
                      "chance {:.2g})",
                      sums.merged_coefficient_sigma()),
      .hint = "use the base without the adapter, or validate the merged copy without --adapter"};
  // By chance alone c scatters around 0; where that scatter reaches the limit it decides nothing.
  if (sums.merged_coefficient_sigma() > 0.2) merged.outcome = Outcome::Inconclusive;
  return {ratio, merged};
}

}  // namespace loraproof::commands
