// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/measures_base.h"

#include <fmt/format.h>
#include <set>
#include <utility>

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

report::Measure passed(std::string id, std::string message) {
  return {.id = std::move(id), .message = std::move(message), .outcome = report::Outcome::Pass};
}

report::Measure skipped(std::string id, std::string message) {
  return {.id = std::move(id), .message = std::move(message), .outcome = report::Outcome::Skipped};
}

report::Measure already_merged_measure(double share, double sigma, std::int64_t modules) {
  report::Measure merged{
      .id = "effect.already_merged",
      .value = share,
      .n = modules,
      .message =
          fmt::format("share of the adapter's update found in the base: about 0 on the base it "
                      "was trained on, 1 where it is merged already (standard deviation by "
                      "chance {:.2g})",
                      sigma),
      .hint =
          "use the base that the adapter was trained on; a merged copy is validated without "
          "--adapter"};
  // By chance alone c scatters around 0; where that scatter reaches the limit it decides nothing.
  if (sigma > 0.2) merged.outcome = Outcome::Inconclusive;
  return merged;
}

void append(Measures& measures, Measures more) {
  for (report::Measure& measure : more) measures.push_back(std::move(measure));
}

Measures with_subject(Measures measures, const std::string& name) {
  for (report::Measure& measure : measures) {
    measure.subject = measure.subject.empty() ? name : name + ": " + measure.subject;
  }
  return measures;
}

Measures landing_measures(const adapter::PlacementSummary& placement, bool has_base) {
  Measures measures;
  for (const adapter::Finding& finding : placement.findings)
    measures.push_back(finding_measure(finding));
  const std::set<std::string> found = ids_of(placement.findings);
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
       .n = placement.tensors,
       .message = fmt::format("{} of {} tensors landed on {} modules", placement.landed,
                              placement.tensors, placement.modules_reached),
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

}  // namespace loraproof::commands
