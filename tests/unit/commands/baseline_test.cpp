// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/baseline.h"

#include "loraproof/commands/context.h"
#include "loraproof/core/error.h"
#include "loraproof/report/report.h"
#include "loraproof/report/writers/json.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace loraproof::commands {
namespace {

using report::Check;
using report::Status;

// What is left of `now` when a run that found `accepted` was accepted.
Check judged(const Check& accepted, Check now) {
  const test::TempDir folder;
  report::Report report;
  report.command = "validate";
  report.checks = {accepted};
  const auto file = folder.write("accepted.json", report::write_json(report, {}));
  std::vector<Check> checks = {std::move(now)};
  accept_known(checks, read_baseline(file), rule_table());
  return checks.front();
}

Check failed(const char* id, std::optional<double> value, std::string message = "m") {
  return {.id = id, .status = Status::Fail, .value = value, .message = std::move(message)};
}

std::string complaint(const std::string& text) {
  const test::TempDir folder;
  try {
    (void)read_baseline(folder.write("b.json", text));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("what is no worse than the accepted report does not fail again") {
  const Check same = judged(failed("golden.kl_answer", 0.5), failed("golden.kl_answer", 0.5));
  CHECK(same.status == Status::Pass);
  CHECK(same.severity == report::Severity::Info);
  CHECK(same.message == "m (accepted: 0.5 in the baseline)");
  CHECK(judged(failed("golden.kl_answer", 0.5), failed("golden.kl_answer", 0.4)).status ==
        Status::Pass);
}

TEST_CASE("what is worse fails, by the direction of the check, and says so") {
  const Check worse = judged(failed("golden.kl_answer", 0.5), failed("golden.kl_answer", 0.6));
  CHECK(worse.status == Status::Fail);
  CHECK(worse.message == "m (worse than the 0.5 that the baseline accepts)");
  CHECK(judged(failed("golden.text", 0.5), failed("golden.text", 0.4)).status == Status::Fail);
  CHECK(judged(failed("golden.text", 0.5), failed("golden.text", 0.6)).status == Status::Pass);
}

TEST_CASE("an interval that reaches the accepted value is no worse") {
  Check now = failed("golden.kl_answer", 0.6);
  now.interval = report::Interval{.low = 0.45, .high = 0.8};
  CHECK(judged(failed("golden.kl_answer", 0.5), now).status == Status::Pass);
  now.interval->low = 0.55;
  CHECK(judged(failed("golden.kl_answer", 0.5), now).status == Status::Fail);
}

TEST_CASE("findings without a value are known by their message, also through two baselines") {
  CHECK(judged(failed("landing.shape", {}, "q"), failed("landing.shape", {}, "q")).status ==
        Status::Pass);
  CHECK(judged(failed("landing.shape", {}, "q"), failed("landing.shape", {}, "r")).status ==
        Status::Fail);
  const Check once = judged(failed("landing.shape", {}, "q"), failed("landing.shape", {}, "q"));
  CHECK(judged(once, failed("landing.shape", {}, "q")).status == Status::Pass);
}

TEST_CASE("another subject or check is not known") {
  Check now = failed("golden.kl_answer", 0.1);
  now.subject = "other";
  CHECK(judged(failed("golden.kl_answer", 0.5), now).status == Status::Fail);
  CHECK(judged(failed("golden.kl_prompt", 0.5), failed("golden.kl_answer", 0.1)).status ==
        Status::Fail);
}

TEST_CASE("only a finished report of validate is a baseline") {
  CHECK(complaint("{}").find("/schema") != std::string::npos);
  CHECK(complaint("[]").find("b.json") != std::string::npos);
  CHECK(complaint("{\"schema\": \"loraproof.report/1\", \"command\": \"inspect\"}")
            .find("/command") != std::string::npos);
  CHECK(complaint("{\"schema\": \"loraproof.report/1\", \"command\": \"validate\"}")
            .find("/checks") != std::string::npos);
  CHECK(complaint("{\"schema\": \"loraproof.report/1\", \"command\": \"validate\", \"error\": {}}")
            .find("/error") != std::string::npos);
}

}  // namespace loraproof::commands
