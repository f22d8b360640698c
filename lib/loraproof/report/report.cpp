// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/report.h"

#include <algorithm>

namespace loraproof::report {
namespace {

bool fails(const Check& check, FailOn fail_on) {
  return check.status == Status::Fail || (fail_on == FailOn::Warn && check.status == Status::Warn);
}

// A check that could not fail the gate can't hold up its verdict either.
bool holds_up(const Check& check, FailOn fail_on) {
  const bool gated = check.severity == Severity::Error ||
                     (fail_on == FailOn::Warn && check.severity == Severity::Warn);
  return check.required && gated && check.status == Status::Inconclusive;
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::Pass: return "pass";
    case Verdict::Fail: return "fail";
    case Verdict::Inconclusive: return "inconclusive";
    case Verdict::Error: break;
  }
  return "error";
}

Verdict Report::verdict() const {
  if (error) return Verdict::Error;
  const auto any = [this](auto predicate) {
    return std::any_of(checks.begin(), checks.end(),
                       [&](const Check& check) { return predicate(check, gate.fail_on); });
  };
  if (any(fails)) return Verdict::Fail;
  return any(holds_up) ? Verdict::Inconclusive : Verdict::Pass;
}

ExitCode Report::exit_code() const {
  switch (verdict()) {
    case Verdict::Pass: return ExitCode::Pass;
    case Verdict::Fail: return ExitCode::Fail;
    case Verdict::Error: return exit_code_of(error->kind);
    case Verdict::Inconclusive: break;
  }
  switch (gate.inconclusive) {
    case InconclusiveExit::Pass: return ExitCode::Pass;
    case InconclusiveExit::Fail: return ExitCode::Fail;
    case InconclusiveExit::OwnCode: break;
  }
  return ExitCode::Inconclusive;
}

}  // namespace loraproof::report
