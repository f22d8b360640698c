// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/outcomes.h"

namespace loraproof::commands {

ExpectedOutcomes outcomes_of(const golden::Suite& suite, const std::vector<std::string>& then,
                             const std::vector<std::string>& now) {
  ExpectedOutcomes outcomes;
  for (std::size_t i = 0; i < suite.prompts.size(); ++i) {
    const auto& expected = suite.prompts[i].expected;
    outcomes.push_back(expected
                           ? std::optional(ExpectedOutcome{.right_then = expected->met_by(then[i]),
                                                           .right_now = expected->met_by(now[i])})
                           : std::nullopt);
  }
  return outcomes;
}

OutcomeCounts count(const ExpectedOutcomes& outcomes) {
  OutcomeCounts counts;
  for (const auto& outcome : outcomes) {
    if (!outcome) continue;
    ++counts.flips.n;
    counts.right_then += outcome->right_then;
    counts.right_now += outcome->right_now;
    counts.flips.lost += outcome->right_then && !outcome->right_now;
    counts.flips.gained += !outcome->right_then && outcome->right_now;
  }
  return counts;
}

std::string flip_name(const std::optional<ExpectedOutcome>& outcome) {
  if (!outcome || outcome->right_then == outcome->right_now) return "";
  return outcome->right_then ? "right_to_wrong" : "wrong_to_right";
}

}  // namespace loraproof::commands
