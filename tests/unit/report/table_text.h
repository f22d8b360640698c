// SPDX-License-Identifier: Apache-2.0
// A small rule table with every kind of rule and setting.
#pragma once

#include "loraproof/report/rules.h"

namespace loraproof::report::test {

inline constexpr std::string_view kTable = R"(
version: 1
checks:
  t.low: {title: low, explanation: e, severity: error, required: true, better: lower, max: 0.5}
  t.range: {title: range, explanation: e, severity: warn, min: -1, max: 1, min_n: 10}
  t.derived: {title: derived, explanation: e, severity: error, required: true, better: lower, limit: derived}
  t.derived_high: {title: derived, explanation: e, severity: error, better: higher, limit: derived}
  t.free: {title: free, explanation: e, severity: error}
  t.count: {title: count, explanation: e, severity: error, required: true, min_n: t.min_count}
  t.finding: {title: finding, explanation: e, severity: error, required: true}
  t.info: {title: info, explanation: e, severity: info, max: 1}
settings:
  t.min_count: {title: fewest, type: integer, default: 20, min: 1}
  t.factor: {title: factor, type: number, default: 5, min: 1, max: 100}
  t.flag: {title: flag, type: boolean, default: false}
  t.mode: {title: mode, type: string, default: same, choices: [same, revision]}
  t.name: {title: name, type: string, default: ""}
)";

inline RuleTable table() { return RuleTable::parse(kTable, "table.yaml"); }

}  // namespace loraproof::report::test
