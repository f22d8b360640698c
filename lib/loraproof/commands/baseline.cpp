// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/baseline.h"

#include <cmath>
#include <fmt/format.h>

#include "loraproof/core/json.h"
#include "loraproof/report/numbers.h"
#include "loraproof/report/report.h"

namespace loraproof::commands {
namespace {

using report::Check;
using report::Status;

bool no_worse(const Check& check, const KnownCheck& known, report::Better better) {
  // An accepted report may itself have been judged against a baseline, which adds to the message.
  if (!check.value || !known.value) return known.message.starts_with(check.message);
  const double low = check.interval ? check.interval->low : *check.value;
  const double high = check.interval ? check.interval->high : *check.value;
  switch (better) {
    case report::Better::Lower: return low <= *known.value;
    case report::Better::Higher: return high >= *known.value;
    case report::Better::Neither: break;
  }
  return *check.value == *known.value;
}

}  // namespace

Baseline read_baseline(const std::filesystem::path& file) {
  const Json json = read_json_file(file);
  const JsonObject report(json, file.string());
  const std::string schema = report.string_or("schema", "");
  if (schema != report::kReportSchema || report.string("command") != "validate") {
    throw report.error(schema == report::kReportSchema ? "command" : "schema",
                       "not a report of loraproof validate", std::string(report::kReportSchema), "",
                       "write one with --report json=FILE");
  }
  if (report.has("error")) {
    throw report.error("error", "this run ended in an error, so it accepted nothing");
  }
  Baseline baseline{.file = file};
  const Json* checks = report.find("checks");
  if (checks == nullptr || !checks->is_array()) throw report.error("checks", "not a list");
  for (std::size_t i = 0; i < checks->size(); ++i) {
    const JsonObject check((*checks)[i], file.string(), fmt::format("/checks/{}", i));
    KnownCheck known{.message = check.string("message")};
    if (check.has("value")) known.value = check.number("value");
    baseline.known[{check.string("id"), check.string_or("subject", "")}] = std::move(known);
  }
  return baseline;
}

void accept_known(std::vector<Check>& checks, const Baseline& baseline,
                  const report::RuleTable& rules) {
  for (Check& check : checks) {
    if (check.status != Status::Fail && check.status != Status::Warn) continue;
    const auto known = baseline.known.find({check.id, check.subject});
    if (known == baseline.known.end()) continue;
    const report::Rule* rule = rules.find_rule(check.id);
    const report::Better better = rule == nullptr ? report::Better::Neither : rule->better;
    const std::string then =
        known->second.value ? report::format_number(*known->second.value) : "the same";
    if (!no_worse(check, known->second, better)) {
      check.message += fmt::format(" (worse than the {} that the baseline accepts)", then);
      continue;
    }
    check.status = Status::Pass;
    check.severity = report::Severity::Info;
    check.message += fmt::format(" (accepted: {} in the baseline)", then);
  }
}

}  // namespace loraproof::commands
