// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/report.h"

#include "support/catch.h"

namespace loraproof::report {
namespace {

struct Case {
  Status status;
  Severity severity;
  bool required;
};

Report report_with(std::initializer_list<Case> cases, GateOptions options = {}) {
  Report report;
  for (const Case& each : cases) {
    report.checks.push_back(
        {.id = "a.b", .status = each.status, .severity = each.severity, .required = each.required});
  }
  report.gate = options;
  return report;
}

constexpr Case kPass{Status::Pass, Severity::Error, true};
constexpr Case kFail{Status::Fail, Severity::Error, false};
constexpr Case kWarn{Status::Warn, Severity::Warn, false};
constexpr Case kOpen{Status::Inconclusive, Severity::Error, true};

}  // namespace

TEST_CASE("the verdict is fail before inconclusive before pass") {
  CHECK(report_with({kPass, kOpen, kFail}).verdict() == Verdict::Fail);
  CHECK(report_with({kPass, kOpen}).verdict() == Verdict::Inconclusive);
  CHECK(report_with({kPass, kWarn}).verdict() == Verdict::Pass);
  CHECK(report_with({}).verdict() == Verdict::Pass);
}

TEST_CASE("only a required check of severity error holds up the verdict") {
  CHECK(report_with({{Status::Inconclusive, Severity::Error, false}}).verdict() == Verdict::Pass);
  CHECK(report_with({{Status::Inconclusive, Severity::Warn, true}}).verdict() == Verdict::Pass);
  CHECK(report_with({{Status::Inconclusive, Severity::Info, true}}).verdict() == Verdict::Pass);
  CHECK(report_with({{Status::Skipped, Severity::Error, true}}).verdict() == Verdict::Pass);
  CHECK(report_with({{Status::Inconclusive, Severity::Warn, true}}, {.fail_on = FailOn::Warn})
            .verdict() == Verdict::Inconclusive);
}

TEST_CASE("exit codes follow the verdict") {
  CHECK(report_with({kPass}).exit_code() == ExitCode::Pass);
  CHECK(report_with({kFail}).exit_code() == ExitCode::Fail);
  CHECK(report_with({kOpen}).exit_code() == ExitCode::Inconclusive);
  CHECK(report_with({kWarn}).exit_code() == ExitCode::Pass);
  CHECK(report_with({kWarn}, {.fail_on = FailOn::Warn}).exit_code() == ExitCode::Fail);
  CHECK(report_with({kWarn}, {.fail_on = FailOn::Warn}).verdict() == Verdict::Fail);
}

TEST_CASE("an inconclusive exit can be mapped, a failure can't") {
  for (const auto& [option, code] :
       {std::pair{InconclusiveExit::Pass, ExitCode::Pass},
        std::pair{InconclusiveExit::Fail, ExitCode::Fail},
        std::pair{InconclusiveExit::OwnCode, ExitCode::Inconclusive}}) {
    CHECK(report_with({kOpen}, {.inconclusive = option}).exit_code() == code);
    CHECK(report_with({kOpen}, {.inconclusive = option}).verdict() == Verdict::Inconclusive);
    CHECK(report_with({kFail}, {.inconclusive = option}).exit_code() == ExitCode::Fail);
  }
}

TEST_CASE("an error decides verdict and exit code whatever the checks say") {
  for (const auto& [kind, code] :
       {std::pair{ErrorKind::Usage, ExitCode::Usage}, std::pair{ErrorKind::Input, ExitCode::Input},
        std::pair{ErrorKind::Internal, ExitCode::Internal}}) {
    Report report = report_with({kPass, kFail}, {.inconclusive = InconclusiveExit::Pass});
    report.error = ReportError{.kind = kind, .detail = {.message = "m"}};
    CHECK(report.verdict() == Verdict::Error);
    CHECK(report.exit_code() == code);
  }
}

}  // namespace loraproof::report
