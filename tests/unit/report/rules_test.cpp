// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/rules.h"

#include <filesystem>
#include <set>
#include <string>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "support/catch.h"
#include "unit/report/embedded.h"
#include "unit/report/table_text.h"

namespace loraproof::report {
namespace {

std::string rules_file() {
  return read_text_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) / "lib" / "loraproof" /
                        "commands" / "rules.yaml");
}

std::string parse_message(const std::string& yaml) {
  try {
    (void)RuleTable::parse(yaml, "r.yaml");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Internal);
    return error.what();
  }
  return "no error";
}

std::string with_check(const std::string& check) {
  return "version: 1\nchecks: {a.b: {" + check + "}}\nsettings: {}";
}

std::string with_setting(const std::string& name, const std::string& setting) {
  return "version: 1\nchecks: {a.b: {title: t, explanation: e, severity: info}}\nsettings: {" +
         name + ": {" + setting + "}}";
}

}  // namespace

TEST_CASE("a table reads back as it was written") {
  const RuleTable table = test::table();
  CHECK(table.rules().size() == 8);
  CHECK(table.settings().size() == 5);
  const Rule* range = table.find_rule("t.range");
  REQUIRE(range != nullptr);
  CHECK(range->severity == Severity::Warn);
  CHECK(range->limit.min == -1.0);
  CHECK(range->min_n == 10);
  CHECK_FALSE(range->required);
  CHECK(table.find_rule("t.derived")->needs_limit);
  CHECK(table.find_rule("t.derived_high")->better == Better::Higher);
  CHECK(table.find_rule("t.count")->min_n_from == "t.min_count");
  CHECK(table.find_rule("t.none") == nullptr);
  CHECK(table.find_setting("t.mode")->choices == std::vector<std::string>{"same", "revision"});
  CHECK(table.find_setting("t.low") == nullptr);
}

TEST_CASE("a mistake in the table is an internal error with its place") {
  CHECK(parse_message("version: 2\nchecks: {}\nsettings: {}").find("/version") !=
        std::string::npos);
  CHECK(parse_message("version: 1\nchecks: {}\nsettings: {}\nmore: 1").find("unknown key 'more'") !=
        std::string::npos);
  CHECK(parse_message(with_check("title: t, explanation: e, severity: fatal"))
            .find("/checks/a.b/severity: unknown value: expected error, warn, info, found fatal") !=
        std::string::npos);
  CHECK(parse_message(with_check("title: t, severity: info")).find("/checks/a.b/explanation") !=
        std::string::npos);
  CHECK(parse_message(with_check("title: t, explanation: e, severity: info, limits: 1"))
            .find("unknown key 'limits'") != std::string::npos);
  CHECK(
      parse_message(with_check("title: t, explanation: e, severity: info, limit: derived, max: 1"))
          .find("a derived limit and a fixed one exclude each other") != std::string::npos);
  CHECK(parse_message(with_check("title: t, explanation: e, severity: info, min_n: no.such"))
            .find("no integer setting of this name: found no.such") != std::string::npos);
  CHECK(parse_message(with_setting("s", "title: t, type: number, default: x"))
            .find("bad value for 's'") != std::string::npos);
  CHECK(parse_message(with_setting("s", "title: t, type: number"))
            .find("a setting needs a default") != std::string::npos);
  CHECK(parse_message(with_setting("a.b.max", "title: t, type: number, default: 1"))
            .find("may not begin with a check's id") != std::string::npos);
  CHECK(parse_message(with_setting("s", "title: t, type: string, default: x, choices: [1]")) !=
        "no error");
}

TEST_CASE("severities are read by name") {
  CHECK(severity_of("error") == Severity::Error);
  CHECK(severity_of("warn") == Severity::Warn);
  CHECK(severity_of("info") == Severity::Info);
  CHECK(severity_of("ignore") == Severity::Info);
  CHECK_FALSE(severity_of("Error"));
  CHECK_FALSE(severity_of(""));
}

TEST_CASE("the shipped table is complete") {
  const RuleTable table = RuleTable::parse(rules_file(), "rules.yaml");
  const std::set<std::string> expected = {"landing.unused_tensor",
                                          "landing.duplicate_target",
                                          "landing.missing_target",
                                          "landing.shape",
                                          "landing.rank",
                                          "landing.half_pair",
                                          "landing.non_finite",
                                          "landing.key_dialect",
                                          "landing.summary",
                                          "landing.unused_pattern",
                                          "landing.base_replaced",
                                          "effect.zero_module",
                                          "effect.zero_adapter",
                                          "effect.scale",
                                          "effect.already_merged",
                                          "identity.base",
                                          "identity.adapter",
                                          "identity.tokenizer",
                                          "identity.template",
                                          "golden.prompts",
                                          "golden.text",
                                          "golden.token_agreement",
                                          "golden.expected",
                                          "golden.nll",
                                          "golden.kl_prompt",
                                          "golden.kl_answer",
                                          "golden.embedding_cosine",
                                          "golden.embedding_cosine_min",
                                          "golden.embedding_l2",
                                          "golden.ties"};
  for (const std::string& id : expected) {
    INFO(id);
    CHECK(table.find_rule(id) != nullptr);
  }
  for (const Rule& rule : table.rules()) {
    INFO(rule.id);
    CHECK(rule.title.size() > 10);
    CHECK(rule.explanation.size() > 100);
    // A number that gates says where it comes from, and which way is better.
    const bool has_number = !rule.limit.empty() || rule.needs_limit;
    CHECK(rule.source.empty() == !has_number);
    CHECK((rule.better == Better::Neither) == !has_number);
    if (rule.better == Better::Higher) CHECK_FALSE(rule.limit.max);
    if (rule.better == Better::Lower) CHECK_FALSE(rule.limit.min);
    // What gates must be decided, but for the lenses of drift: one without data says nothing.
    const bool lens = rule.id.starts_with("drift.");
    CHECK((lens || rule.required || rule.severity != Severity::Error));
    CHECK((rule.severity == Severity::Error || !rule.required));
    // A setting that an explanation or source names exists.
    for (const std::string* text : {&rule.explanation, &rule.source}) {
      for (std::size_t at = 0; (at = text->find("golden.", at)) != std::string::npos;) {
        std::size_t end = text->find_first_not_of("abcdefghijklmnopqrstuvwxyz_.0123456789", at);
        std::string name = text->substr(at, end - at);
        while (name.back() == '.') name.pop_back();
        INFO(name);
        CHECK((table.find_rule(name) != nullptr || table.find_setting(name) != nullptr));
        at += name.size();
      }
    }
  }
  CHECK(table.find_setting("golden.min_prompts")->default_value == 20);
  CHECK(table.find_setting("golden.floor_multiple")->default_value == 5);
}

TEST_CASE("an embedded file is the file, byte for byte") {
  CHECK(test::embedded_rules() == rules_file());
  CHECK(test::embedded_empty().empty());
}

}  // namespace loraproof::report
