// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/explain.h"

#include "loraproof/core/json.h"
#include "support/catch.h"
#include "unit/report/embedded.h"
#include "unit/report/table_text.h"

namespace loraproof::report {
namespace {

bool has(const std::string& text, std::string_view piece) { return text.find(piece) != text.npos; }

std::string text_of(std::string_view name) {
  const RuleTable rules = test::table();
  return explain(find_topic(rules, name), ExplainFormat::Text);
}

std::string refusal(std::string_view name) {
  const RuleTable rules = test::table();
  try {
    (void)find_topic(rules, name);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Usage);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("explain tells a check's severity, limit and how to change them") {
  const std::string text = text_of("t.low");
  CHECK(has(text, "t.low\n  low\n\n  e\n"));
  CHECK(has(text, "severity: error (a finding fails the gate)\n"));
  CHECK(has(text, "undecided: the verdict is inconclusive, not a pass\n"));
  CHECK(has(text, "limit: at most 0.5\n"));
  CHECK(has(text, "  change it with:\n    --set t.low.max=0.5\n    --set t.low.severity=warn\n"));
  CHECK(has(text, "  or in loraproof.yaml:\n    checks: {t.low: {max: 0.5, severity: warn}}\n"));
  CHECK_FALSE(has(text, "why this limit"));
}

TEST_CASE("explain tells where a derived limit and a least number of samples come from") {
  CHECK(has(text_of("t.derived_high"), "limit: derived from the noise floor of the reference"));
  CHECK(has(text_of("t.derived_high"), "--set t.derived_high.min=0.999"));
  CHECK(has(text_of("t.count"), "samples: at least t.min_count"));
  CHECK(has(text_of("t.range"), "limit: at least -1 and at most 1"));
  CHECK(has(text_of("t.range"), "    --set t.range.severity=error\n    --set t.range.min_n=20\n"));
}

TEST_CASE("explain offers no limit for a finding that has none") {
  CHECK(has(text_of("t.finding"), "change it with:\n    --set t.finding.severity=warn\n"));
}

TEST_CASE("explain tells a setting's default, range and choices") {
  CHECK(has(text_of("t.factor"), "value: number, at least 1 and at most 100\n"));
  CHECK(has(text_of("t.factor"), "default: 5\n"));
  CHECK(has(text_of("t.factor"), "--set t.factor=5\n"));
  CHECK(has(text_of("t.factor"), "settings: {t.factor: 5}\n"));
  CHECK(has(text_of("t.mode"), "value: string, one of same, revision\n"));
}

TEST_CASE("explain lists a family and everything by one line each") {
  CHECK(text_of("t.") == text_of("t"));
  CHECK(text_of("") == text_of("t."));
  CHECK(has(text_of("t"), "t\n  t.low           low\n"));
  CHECK(has(text_of("t"), "\nsettings\n  t.min_count     fewest\n"));
}

TEST_CASE("explain refuses a name that is not there, with the nearest") {
  CHECK(has(refusal("t.lwo"), "did you mean 't.low'?"));
  CHECK(has(refusal("t.lo"), "did you mean 't.low'?"));
  CHECK(has(refusal("x."), "an id, or a family: t"));
  CHECK(has(refusal("something_else"), "loraproof explain lists them all"));
}

TEST_CASE("explain writes json that reads back and markdown with every id") {
  const RuleTable rules = RuleTable::parse(test::embedded_rules(), "rules.yaml");
  const Topic all = whole_table(rules);
  const Json read = parse_json(explain(all, ExplainFormat::Json), "explain");
  REQUIRE(read["checks"].size() == rules.rules().size());
  CHECK(read["settings"].size() == rules.settings().size());
  CHECK(read["checks"][0]["id"] == rules.rules()[0].id);
  const std::string page = explain(all, ExplainFormat::Markdown);
  const std::string list = explain(find_topic(rules, ""), ExplainFormat::Markdown);
  for (const Rule& rule : rules.rules()) {
    CHECK(has(page, "### `" + rule.id + "`"));
    CHECK(has(list, "| `" + rule.id + "` | "));
  }
}

}  // namespace loraproof::report
