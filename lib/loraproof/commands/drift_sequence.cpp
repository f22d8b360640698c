// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/drift_sequence.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string_view>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/report/gate.h"
#include "loraproof/report/numbers.h"
#include "loraproof/stats/multiple_testing.h"

namespace loraproof::commands {
namespace {

constexpr std::size_t kLookBack = 2;  // windows before this one that can confirm an alarm

// What a check is called in the history.
std::string name_of(const report::Check& check) {
  return check.subject.empty() ? check.id : check.id + " " + check.subject;
}

// Only what noise can make fail has to be seen twice.
bool is_test(const report::Check& check) {
  constexpr std::array<std::string_view, 3> kOthers = {"drift.prompts", "drift.malformed_lines",
                                                       "drift.segment"};
  return std::ranges::find(kOthers, check.id) == kOthers.end();
}

std::vector<std::string> failed_tests(const std::vector<report::Check>& checks) {
  std::vector<std::string> failed;
  for (const report::Check& check : checks) {
    if (check.status == report::Status::Fail && is_test(check)) failed.push_back(name_of(check));
  }
  return failed;
}

}  // namespace

void check_sequence(const DriftSequenceOptions& options) {
  if (!options.history.empty() && options.number) {
    throw usage_error({.message = "the history counts the windows", .where = "--window"});
  }
  if (options.run_length && options.history.empty()) {
    throw usage_error({.message = "alarms that must be seen twice need to be remembered",
                       .where = "--run-length",
                       .hint = "--history FILE"});
  }
}

DriftSequence::DriftSequence(const DriftSequenceOptions& options, double alpha,
                             std::string reference_digest, std::string window_digest)
    : options_(options), alpha_(alpha), window_(std::move(window_digest)) {
  if (options_.history.empty()) return;
  history_ = drift::read_history(options_.history, reference_digest);
  if (const auto at = history_.find(window_)) {
    known_ = true;
    history_.windows.resize(*at);
  }
}

double DriftSequence::level() const {
  if (options_.run_length) return 1 / static_cast<double>(*options_.run_length);
  const Json k = number();
  return k.is_null() ? alpha_ : stats::window_level(alpha_, k.get<std::int64_t>());
}

Json DriftSequence::number() const {
  if (options_.number) return *options_.number;
  if (options_.history.empty()) return nullptr;
  return static_cast<std::int64_t>(history_.windows.size()) + 1;
}

void DriftSequence::judge(const drift::Comparison& comparison, const report::Policy& policy,
                          std::vector<report::Check>& checks) {
  if (options_.history.empty()) return;
  drift::WindowRecord record = drift::record_of(comparison, window_);
  record.failed = failed_tests(checks);
  if (options_.run_length) confirm(checks);
  history_.windows.push_back(std::move(record));
  sequence_ = drift::sequence_of(history_.windows);
  const std::array measures = {
      report::Measure{.id = "drift.creep",
                      .value = sequence_.creep,
                      .message = fmt::format("after {} window{}, {} at most", sequence_.windows,
                                             sequence_.windows == 1 ? "" : "s",
                                             report::format_number(sequence_.largest_creep)),
                      .hint =
                          "no single window need show it: compare the last windows merged with the "
                          "reference (loraproof drift merge)"},
      report::Measure{.id = "drift.evidence",
                      .value = sequence_.mean_e,
                      .message = fmt::format("mean over {} window{}", sequence_.windows,
                                             sequence_.windows == 1 ? "" : "s"),
                      .hint = "the windows together say that the traffic has moved",
                      .derived_limit = report::Limit{.max = 1 / alpha_}}};
  for (report::Check& check : report::gate(measures, policy)) checks.push_back(std::move(check));
  if (!known_) drift::write_history(options_.history, history_);
}

void DriftSequence::confirm(std::vector<report::Check>& checks) const {
  const std::size_t before = history_.windows.size();
  const auto seen = [&](const std::string& name) {
    for (std::size_t i = before - std::min(before, kLookBack); i < before; ++i) {
      if (std::ranges::count(history_.windows[i].failed, name) > 0) return true;
    }
    return false;
  };
  for (report::Check& check : checks) {
    if (check.status != report::Status::Fail || !is_test(check) || seen(name_of(check))) continue;
    check.status = report::Status::Warn;
    check.message += "; not in the two windows before, so it waits to be confirmed";
  }
}

Json DriftSequence::metrics() const {
  if (options_.history.empty()) return nullptr;
  return {{"windows", sequence_.windows},
          {"creep", sequence_.creep},
          {"largest_creep", sequence_.largest_creep},
          {"mean_e", sequence_.mean_e},
          {"known", known_}};
}

}  // namespace loraproof::commands
