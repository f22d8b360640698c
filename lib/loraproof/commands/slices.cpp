// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/slices.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "loraproof/core/json.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {
namespace {

// The prompts of one slice, with their outcomes.
struct SlicePart {
  std::vector<golden::PromptDiff> prompts;
  ExpectedOutcomes outcomes;
};

std::map<std::string, SlicePart> parts_of(const golden::Suite& suite, const Behaviour& behaviour) {
  std::map<std::string, SlicePart> parts;
  for (std::size_t i = 0; i < suite.prompts.size(); ++i) {
    if (suite.prompts[i].slice.empty()) continue;
    SlicePart& part = parts[suite.prompts[i].slice];
    part.prompts.push_back(behaviour.diff->prompts[i]);
    part.outcomes.push_back(behaviour.outcomes[i]);
  }
  return parts;
}

Json metrics_of(const golden::GoldenDiff& diff, const ExpectedOutcomes& outcomes) {
  const OutcomeCounts counts = count(outcomes);
  Json json{{"prompts", diff.prompts.size()},
            {"equal_texts", diff.equal_texts},
            {"diverged_texts", diff.diverged_texts},
            {"tied_texts", diff.tied_texts}};
  if (counts.flips.n > 0) {
    json["expected"] = counts.flips.n;
    json["expected_met"] = counts.right_now;
    json["expected_met_when_recorded"] = counts.right_then;
  }
  if (diff.kl_prompt_n > 0) json["kl_prompt"] = diff.kl_prompt;
  if (diff.kl_answer_n > 0) json["kl_answer"] = diff.kl_answer;
  json["cosine"] = diff.cosine;
  return json;
}

std::vector<report::Check> judge_slice(const GoldenJob& job, const Behaviour& part,
                                       const golden::Slice& slice, const std::string& lane) {
  report::Policy policy = job.policy;
  policy.apply_checks(JsonObject(slice.limits, (job.suite.folder / "suite.yaml").string(),
                                 "/slices/" + slice.name));
  Measures measures = golden_measures(part, job.against, policy, job.options.seed);
  std::erase_if(measures,
                [&](const report::Measure& measure) { return !slice.limits.contains(measure.id); });
  std::vector<report::Check> checks = report::gate(
      with_subject(std::move(measures), fmt::format("{}, slice {}", lane, slice.name)), policy);
  if (job.baseline) accept_known(checks, *job.baseline, policy.table());
  return checks;
}

}  // namespace

SliceResult judge_slices(const GoldenJob& job, const Behaviour& behaviour,
                         const std::string& lane) {
  SliceResult result;
  for (auto& [name, part] : parts_of(job.suite, behaviour)) {
    const golden::GoldenDiff diff = golden::add_up(std::move(part.prompts));
    result.metrics[name] = metrics_of(diff, part.outcomes);
    const auto own = std::ranges::find(job.suite.slices, name, &golden::Slice::name);
    if (own == job.suite.slices.end()) continue;
    const Behaviour slice{&diff, behaviour.reference, part.outcomes};
    std::ranges::move(judge_slice(job, slice, *own, lane), std::back_inserter(result.checks));
  }
  return result;
}

}  // namespace loraproof::commands
