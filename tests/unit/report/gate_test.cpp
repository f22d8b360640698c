// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/gate.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "loraproof/core/error.h"
#include "support/catch.h"
#include "unit/report/table_text.h"

namespace loraproof::report {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Check judge(const Measure& measure, const std::vector<std::string>& sets = {}) {
  const Policy policy = load_policy(test::table(), {.sets = sets});
  auto checks = gate(std::vector{measure}, policy);
  REQUIRE(checks.size() == 1);
  return checks.front();
}

}  // namespace

TEST_CASE("a value inside its limit passes, on the limit too") {
  CHECK(judge({.id = "t.low", .value = 0.5}).status == Status::Pass);
  CHECK(judge({.id = "t.low", .value = -3}).status == Status::Pass);
  CHECK(judge({.id = "t.range", .value = -1, .n = 10}).status == Status::Pass);
}

TEST_CASE("a value outside fails with what was compared in the message") {
  const Check check =
      judge({.id = "t.low", .subject = "s", .value = 0.75, .message = "mean of 3", .hint = "act"});
  CHECK(check.status == Status::Fail);
  CHECK(check.message == "mean of 3: 0.75 is above the limit 0.5");
  CHECK(check.hint == "act");
  CHECK(check.subject == "s");
  CHECK(check.required);
  REQUIRE(check.limit);
  CHECK(check.limit->max == 0.5);
  CHECK_FALSE(check.limit->min);
  CHECK(judge({.id = "t.low", .value = std::nextafter(0.5, 1.0)}).message ==
        "low: 0.5000000000000001 is above the limit 0.5");
}

TEST_CASE("with a significance, a value beyond the limit fails only when it is no chance") {
  Measure measure{.id = "t.low", .value = 0.75, .message = "m"};
  measure.significance = {.p = 0.2, .level = 0.05};
  CHECK(judge(measure).status == Status::Pass);
  CHECK(judge(measure).message ==
        "m: 0.75 is above the limit 0.5: this may be chance (p 0.2, needed 0.05)");
  measure.significance = {.p = 0.2, .level = 0.05, .notable = true};
  CHECK(judge(measure).status == Status::Warn);
  measure.significance = {.p = 0.05, .level = 0.05, .notable = true};
  CHECK(judge(measure).status == Status::Fail);
  measure.value = 0.25;
  CHECK(judge(measure).status == Status::Warn);
  CHECK(judge(measure).message == "m: significant, but within the limit (p 0.05, needed 0.05)");
  measure.significance = {.p = 0.2, .level = 0.05};
  CHECK(judge(measure).status == Status::Pass);
  measure.value = 0.75;
  measure.significance = {.p = kNan, .level = 0.05};
  CHECK(judge(measure).status == Status::Inconclusive);
}

TEST_CASE("inside the limit, but samples that could not have shown so much: inconclusive") {
  Measure measure{.id = "t.low", .value = 0.1, .n = 3, .message = "m", .smallest_effect = 0.6};
  CHECK(judge(measure).status == Status::Inconclusive);
  CHECK(judge(measure).message ==
        "m: an effect below 0.6 could not have been seen with these samples, and the limit allows "
        "0.5; add prompts, or widen the limit");
  CHECK(judge(measure).smallest_effect == 0.6);
  measure.smallest_effect = 0.5;
  CHECK(judge(measure).status == Status::Pass);
  measure.smallest_effect = 0.6;
  measure.value = 0.7;
  CHECK(judge(measure).status == Status::Fail);  // a failure needs no resolution
  // A share: no effect is 1, the limit leaves 0.05 below it.
  Measure share{.id = "t.derived_high", .value = 1.0, .n = 20, .message = "m"};
  share.derived_limit = Limit{.min = 0.95};
  share.no_effect = 1;
  share.smallest_effect = 0.077;
  CHECK(judge(share).status == Status::Inconclusive);
  share.smallest_effect = 0.039;
  CHECK(judge(share).status == Status::Pass);
}

TEST_CASE("a question that is not asked is reported, unless the policy asks it") {
  const Measure measure{.id = "t.low", .value = 0.75, .message = "m", .report_only = true};
  CHECK(judge(measure).status == Status::Pass);
  CHECK(judge(measure).severity == Severity::Info);
  CHECK_FALSE(judge(measure).limit);
  CHECK(judge(measure).message == "m (reported only)");
  CHECK(judge(measure, {"t.low.max=0.7"}).status == Status::Fail);
  CHECK(judge(measure, {"t.low.severity=warn"}).status == Status::Warn);
  const Measure without{.id = "t.derived", .value = 1, .message = "m", .report_only = true};
  CHECK(judge(without).status == Status::Pass);
  const Measure finding{
      .id = "t.finding", .message = "m", .outcome = Outcome::Fail, .report_only = true};
  CHECK(judge(finding).status == Status::Pass);
  CHECK(judge(finding).severity == Severity::Info);
}

TEST_CASE("severity decides between fail, warn and a noted pass") {
  const Measure outside{.id = "t.range", .value = -2, .n = 10, .message = "m"};
  CHECK(judge(outside).status == Status::Warn);
  CHECK(judge(outside).message == "m: -2 is below the limit -1");
  CHECK(judge(outside, {"t.range.severity=error"}).status == Status::Fail);
  const Check ignored = judge(outside, {"t.range.severity=ignore"});
  CHECK(ignored.status == Status::Pass);
  CHECK(ignored.severity == Severity::Info);
  CHECK(ignored.message ==
        "m: -2 is below the limit -1 (reported only: the policy does not gate this check)");
}

TEST_CASE("what can't be decided is inconclusive and never a pass") {
  CHECK(judge({.id = "t.low"}).message == "low: there is no value");
  CHECK(judge({.id = "t.low"}).status == Status::Inconclusive);
  CHECK(judge({.id = "t.low", .value = kNan}).status == Status::Inconclusive);
  CHECK(judge({.id = "t.low", .value = kNan}).message == "low: the value is not a number");
  CHECK(judge({.id = "t.low", .value = -kInfinity}).status == Status::Inconclusive);
  CHECK(judge({.id = "t.low", .value = -kInfinity}).message == "low: the value is infinite");
  CHECK(judge({.id = "t.low", .value = kInfinity}).status == Status::Fail);
  CHECK(judge({.id = "t.free", .value = kNan}).status == Status::Inconclusive);
  CHECK(judge({.id = "t.free"}).status == Status::Inconclusive);
  CHECK(judge({.id = "t.info", .value = kNan}).status == Status::Inconclusive);
  const Check nan_limit =
      judge({.id = "t.derived", .value = 1, .derived_limit = Limit{.max = kNan}});
  CHECK(nan_limit.status == Status::Inconclusive);
  CHECK(nan_limit.message == "derived: the limit is not a number");
}

TEST_CASE("too few samples are inconclusive and the message says how many more") {
  const Check few = judge({.id = "t.range", .value = 0, .n = 4, .message = "m"});
  CHECK(few.status == Status::Inconclusive);
  CHECK(few.message == "m: only 4 of the 10 samples that are needed; 6 more");
  CHECK(judge({.id = "t.range", .value = 0}).message ==
        "range: the number of samples is unknown, 10 are needed");
  CHECK(judge({.id = "t.range", .value = 0}).status == Status::Inconclusive);
  CHECK(judge({.id = "t.range", .value = 0, .n = 4}, {"t.range.min_n=4"}).status == Status::Pass);
  CHECK(judge({.id = "t.range", .value = 0, .n = 0}).status == Status::Inconclusive);
}

TEST_CASE("min_n follows the setting that the rule names unless it is set itself") {
  CHECK(judge({.id = "t.count", .value = 19, .n = 19}).status == Status::Inconclusive);
  const Check enough = judge({.id = "t.count", .value = 20, .n = 20, .message = "20 prompts"});
  CHECK(enough.status == Status::Pass);
  CHECK(enough.severity == Severity::Error);
  CHECK(enough.message == "20 prompts");
  CHECK(judge({.id = "t.count", .value = 5, .n = 5}, {"t.min_count=5"}).status == Status::Pass);
  CHECK(judge({.id = "t.count", .value = 5, .n = 5}, {"t.min_count=5", "t.count.min_n=6"}).status ==
        Status::Inconclusive);
}

TEST_CASE("a derived limit applies until the policy sets that side") {
  const Measure measure{.id = "t.derived", .value = 0.2, .derived_limit = Limit{.max = 0.1}};
  CHECK(judge(measure).status == Status::Fail);
  CHECK(judge(measure).message == "derived: 0.2 is above the limit 0.1 (a derived limit)");
  CHECK(judge(measure, {"t.derived.max=0.3"}).status == Status::Pass);
  CHECK(judge(measure, {"t.derived.max=0.15"}).message == "derived: 0.2 is above the limit 0.15");
  CHECK(judge(measure, {"t.derived.min=0.1"}).status == Status::Fail);
}

TEST_CASE("a rule that needs a limit and has none is inconclusive") {
  const Check check = judge({.id = "t.derived", .value = 0.0});
  CHECK(check.status == Status::Inconclusive);
  CHECK(check.message ==
        "derived: there is no limit, because no noise floor was measured; set t.derived.max");
  CHECK(judge({.id = "t.derived_high", .value = 0.0}).message ==
        "derived: there is no limit, because no noise floor was measured; set t.derived_high.min");
  CHECK(judge({.id = "t.derived", .value = 0.0}, {"t.derived.max=1"}).status == Status::Pass);
}

TEST_CASE("a rule without any limit only reports") {
  const Check check = judge({.id = "t.free", .value = 3});
  CHECK(check.status == Status::Pass);
  CHECK(check.severity == Severity::Info);
  CHECK(check.message == "free (reported only: no limit set)");
}

TEST_CASE("an outcome stands and only its severity comes from the policy") {
  const auto finding = [](Outcome outcome) {
    return Measure{.id = "t.finding", .message = "found.", .hint = "act", .outcome = outcome};
  };
  CHECK(judge(finding(Outcome::Fail)).status == Status::Fail);
  CHECK(judge(finding(Outcome::Fail)).message == "found.");
  CHECK(judge(finding(Outcome::Fail), {"t.finding.severity=warn"}).status == Status::Warn);
  CHECK(judge(finding(Outcome::Fail), {"t.finding.severity=info"}).status == Status::Pass);
  CHECK(judge(finding(Outcome::Pass)).status == Status::Pass);
  CHECK(judge(finding(Outcome::Pass)).hint.empty());
  CHECK(judge(finding(Outcome::Skipped)).status == Status::Skipped);
  CHECK(judge(finding(Outcome::Inconclusive)).status == Status::Inconclusive);
  // Limits don't touch it, samples do.
  CHECK(judge({.id = "t.low", .value = 9, .outcome = Outcome::Pass}).status == Status::Pass);
  CHECK(judge({.id = "t.range", .n = 1, .outcome = Outcome::Pass}).status == Status::Inconclusive);
  CHECK(judge({.id = "t.range", .n = 1, .outcome = Outcome::Skipped}).status == Status::Skipped);
}

TEST_CASE("checks come in the order of the measures, and a measure without a rule is our mistake") {
  const Policy policy(test::table());
  const std::vector<Measure> measures = {{.id = "t.low", .subject = "b", .value = 1},
                                         {.id = "t.low", .subject = "a", .value = 0}};
  const auto checks = gate(measures, policy);
  CHECK(checks[0].subject == "b");
  CHECK(checks[1].subject == "a");
  CHECK(gate({}, policy).empty());
  try {
    (void)gate(std::vector{Measure{.id = "t.none"}}, policy);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Internal);
    CHECK(std::string(error.what()) ==
          "no rule for the check 't.none'; add it to the table of rules");
  }
}

}  // namespace loraproof::report
