// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <algorithm>

#include "loraproof/commands/context.h"
#include "loraproof/commands/measures.h"
#include "loraproof/core/json.h"
#include "loraproof/report/gate.h"
#include "support/catch.h"

namespace loraproof::commands {
namespace {

using golden::Against;
using report::Check;
using report::Status;

// A healthy lane over `n` prompts that expect something and were right when recorded.
struct Lane {
  golden::Reference reference;
  std::vector<golden::PromptDiff> prompts;
  ExpectedOutcomes outcomes;

  explicit Lane(std::size_t n) : prompts(n), outcomes(n, ExpectedOutcome{true, true}) {
    reference.floor = {.kl_prompt = 0.004, .kl_answer = 1e-5, .cosine = 0.0009, .l2 = 0.04};
    for (std::size_t i = 0; i < n; ++i) {
      prompts[i].answer_tokens = 20;
      prompts[i].kl_prompt = 0.004;
      prompts[i].kl_answer = 1e-5;
      prompts[i].expected_nll = prompts[i].expected_nll_reference = 0.001;
    }
  }

  [[nodiscard]] std::vector<Check> judge(Against against,
                                         const std::vector<std::string>& sets = {}) const {
    const report::Policy policy = load_policy({.sets = sets}, Json::object(), "");
    const golden::GoldenDiff diff = golden::add_up(prompts);
    return report::gate(golden_measures({&diff, &reference, outcomes}, against, policy, 0), policy);
  }
  [[nodiscard]] Check check(const char* id, Against against,
                            const std::vector<std::string>& sets = {}) const {
    const auto checks = judge(against, sets);
    const auto found = std::ranges::find(checks, id, &Check::id);
    REQUIRE(found != checks.end());
    return *found;
  }
};

}  // namespace

TEST_CASE("a healthy lane of 40 prompts passes every check, in either question") {
  for (const Against against : {Against::Same, Against::Revision}) {
    for (const Check& check : Lane(40).judge(against)) {
      INFO(check.id << ": " << check.message);
      CHECK(check.status == Status::Pass);
    }
  }
}

TEST_CASE("figures carry interval, n and the smallest effect") {
  const Check text = Lane(40).check("golden.text", Against::Same);
  CHECK(text.n == 40);
  CHECK(*text.smallest_effect == Approx(0.0394).epsilon(0.01));
  REQUIRE(text.interval);
  CHECK(text.interval->low == Approx(0.9119).epsilon(0.001));
  CHECK(Lane(40).check("golden.kl_prompt", Against::Same).limit->max == Approx(0.02));
}

TEST_CASE("too few prompts to see what the limit allows: inconclusive") {
  CHECK(Lane(24).check("golden.text", Against::Same).status == Status::Inconclusive);
  CHECK(Lane(24).check("golden.text", Against::Same, {"golden.text.min=0.9"}).status ==
        Status::Pass);
}

TEST_CASE("a revision is judged by expected answers; differences are only reported") {
  Lane lane(40);
  for (golden::PromptDiff& prompt : lane.prompts) {
    prompt.divergence = golden::Divergence{};
    prompt.disagreements = 20;
    prompt.kl_prompt = 5;
  }
  const Check kl = lane.check("golden.kl_prompt", Against::Revision);
  CHECK(kl.status == Status::Pass);
  CHECK(kl.severity == report::Severity::Info);
  CHECK(lane.check("golden.kl_prompt", Against::Revision, {"golden.kl_prompt.max=1"}).status ==
        Status::Fail);
  CHECK(lane.check("golden.text", Against::Revision).status == Status::Pass);
  CHECK(lane.check("golden.text", Against::Same).status == Status::Fail);
}

TEST_CASE("answers that became wrong: failed when chance does not explain them") {
  Lane lane(40);
  const auto lose = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) lane.outcomes[i]->right_now = false;
    return lane.check("golden.expected_flips", Against::Revision).status;
  };
  CHECK(lose(2) == Status::Pass);          // 0.05: on the limit
  CHECK(lose(3) == Status::Inconclusive);  // 0.075, p = 0.125
  CHECK(lose(5) == Status::Fail);          // p = 0.031
}

TEST_CASE("an expected answer that became less likely fails before it becomes wrong") {
  Lane lane(40);
  for (golden::PromptDiff& prompt : lane.prompts) prompt.expected_nll = 0.05;
  CHECK(lane.check("golden.expected_nll", Against::Revision).status == Status::Fail);
  // One prompt alone moves the mean over the limit, but not the interval over 0.
  Lane one(40);
  one.prompts[0].expected_nll = 2;
  CHECK(one.check("golden.expected_nll", Against::Revision).status == Status::Inconclusive);
}

TEST_CASE("a suite that expects nothing can't judge a revision") {
  Lane lane(40);
  lane.outcomes.assign(40, std::nullopt);
  CHECK(lane.check("golden.expected_flips", Against::Revision).status == Status::Inconclusive);
  CHECK(lane.check("golden.expected", Against::Same).status == Status::Skipped);
}

TEST_CASE("a run that is as far away as the base asks whether the adapter is applied") {
  Lane lane(40);
  lane.reference.base_figures = golden::BaseFigures{.kl_answer = 4};
  for (golden::PromptDiff& prompt : lane.prompts) prompt.kl_answer = 3.9;
  CHECK(lane.check("golden.kl_answer", Against::Same).hint.find("is the adapter applied") !=
        std::string::npos);
}

}  // namespace loraproof::commands
