// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/policy.h"

#include <string>
#include <vector>

#include "loraproof/core/error.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "unit/report/table_text.h"

namespace loraproof::report {
namespace {

Policy fresh() { return Policy(test::table()); }

/// The message of the usage error that `act` must throw.
template <class Act>
std::string usage_message(Act act) {
  try {
    act();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Usage);
    return error.what();
  }
  return "no error";
}

std::string set_message(const std::string& assignment) {
  return usage_message([&] { fresh().apply_set(assignment); });
}

std::string file_message(const std::string& yaml) {
  return usage_message([&] { fresh().apply_yaml("version: 1\n" + yaml, "p.yaml"); });
}

}  // namespace

TEST_CASE("a fresh policy is the table's defaults") {
  const Policy policy = fresh();
  CHECK(policy.check("t.low").severity == Severity::Error);
  CHECK(policy.check("t.low").default_limit.max == 0.5);
  CHECK(policy.check("t.low").set_limit.empty());
  CHECK(policy.check("t.range").min_n == 10);
  CHECK(policy.check("t.count").min_n == 20);
  CHECK(policy.integer("t.min_count") == 20);
  CHECK(policy.number("t.factor") == 5.0);
  CHECK_FALSE(policy.boolean("t.flag"));
  CHECK(policy.text("t.mode") == "same");
}

TEST_CASE("a suite wins over defaults, the file over the suite and --set over the file") {
  const loraproof::test::TempDir folder;
  const auto file = folder.write("loraproof.yaml",
                                 "version: 1\n"
                                 "checks:\n"
                                 "  t.low: {max: 0.4, severity: warn}\n"
                                 "  t.range: {min_n: 3}\n"
                                 "  t.derived: {max: 0.2}\n"
                                 "settings:\n"
                                 "  t.factor: 7.5\n"
                                 "  t.flag: true\n");
  const Policy policy = load_policy(
      test::table(),
      {.suite_limits = {{"t.low", {{"max", 0.45}, {"min", 0.1}}},
                        {"t.derived", {{"max", 0.7}}},
                        {"t.free", {{"severity", "info"}}}},
       .suite_file = "suite.yaml",
       .file = file,
       .sets = {"t.low.max=0.2", "t.factor=9", "t.mode=revision", "t.name=12", "t.low.max=0.3"}});
  CHECK(policy.check("t.low").set_limit.max == 0.3);  // the last --set wins
  CHECK(policy.check("t.low").set_limit.min == 0.1);  // the suite's
  CHECK(policy.check("t.derived").set_limit.max == 0.2);
  CHECK(policy.check("t.free").severity == Severity::Info);
  CHECK(policy.check("t.low").severity == Severity::Warn);
  CHECK(policy.check("t.range").min_n == 3);
  CHECK(policy.check("t.range").severity == Severity::Warn);
  CHECK(policy.number("t.factor") == 9.0);
  CHECK(policy.boolean("t.flag"));
  CHECK(policy.text("t.mode") == "revision");
  CHECK(policy.text("t.name") == "12");
}

TEST_CASE("a --set argument is named with the nearest key when it is wrong") {
  CHECK(set_message("t.low.max") ==
        "--set t.low.max: not an assignment: expected KEY=VALUE; for example --set "
        "golden.min_prompts=50");
  CHECK(set_message("=3") ==
        "--set =3: not an assignment: expected KEY=VALUE; for example --set golden.min_prompts=50");
  CHECK(set_message("t.lwo.max=1") ==
        "--set t.lwo.max=1: unknown key 't.lwo.max'; did you mean 't.low.max'?");
  CHECK(set_message("t.min_cuont=3") ==
        "--set t.min_cuont=3: unknown key 't.min_cuont'; did you mean 't.min_count'?");
  CHECK(set_message("t.low.mxa=1") ==
        "--set t.low.mxa=1: check 't.low' has no field 'mxa': expected one of min, max, severity, "
        "min_n");
  CHECK(set_message("nothing_like_it=1") ==
        "--set nothing_like_it=1: unknown key 'nothing_like_it'");
  CHECK(set_message("t.low=1") ==
        "--set t.low=1: 't.low' is a check, not a value of one: expected "
        "t.low.{min,max,severity,min_n}=VALUE");
}

TEST_CASE("a --set argument refuses values of the wrong type") {
  CHECK(set_message("t.low.max=much") ==
        "--set t.low.max=much: bad value for 't.low.max': expected number, found \"much\"");
  CHECK(set_message("t.low.max=") ==
        "--set t.low.max=: bad value for 't.low.max': expected number, found \"\"");
  for (const char* value : {"nan", "inf", "-inf", "1e999", "0x10", "1 ", "true"}) {
    INFO(value);
    CHECK(set_message(std::string("t.low.max=") + value).find("bad value for 't.low.max'") !=
          std::string::npos);
  }
  CHECK(set_message("t.low.min_n=-1").find("expected integer of at least 0, found -1") !=
        std::string::npos);
  CHECK(set_message("t.low.min_n=2.5").find("expected integer of at least 0, found 2.5") !=
        std::string::npos);
  CHECK(set_message("t.low.min_n=99999999999999999999").find("expected integer") !=
        std::string::npos);
  CHECK(set_message("t.low.severity=off") ==
        "--set t.low.severity=off: bad value for 't.low.severity': expected one of error, warn, "
        "info, ignore, found \"off\"");
  CHECK(set_message("t.low.severity=1").find("found 1") != std::string::npos);
  CHECK(set_message("t.factor=101") ==
        "--set t.factor=101: bad value for 't.factor': expected number from 1 to 100, found 101");
  CHECK(set_message("t.flag=yes").find("expected boolean") != std::string::npos);
  CHECK(set_message("t.mode=other") ==
        "--set t.mode=other: bad value for 't.mode': expected one of same, revision, found "
        "\"other\"");
}

TEST_CASE("a wrong limit of a suite names file, place and nearest name") {
  const auto load = [](const Json& limits) {
    return usage_message([&] {
      (void)load_policy(test::table(), {.suite_limits = limits, .suite_file = "suite.yaml"});
    });
  };
  CHECK(load({{"t.lwo", {{"max", 1}}}}) ==
        "suite.yaml: /limits/t.lwo: unknown check 't.lwo'; did you mean 't.low'?");
  CHECK(load({{"t.low", {{"min", 0.6}}}}).find("the limits exclude every value") !=
        std::string::npos);
}

TEST_CASE("a wrong policy file names file, place and nearest name") {
  CHECK(file_message("chekcs: {}") ==
        "p.yaml: /chekcs: unknown key 'chekcs'; did you mean 'checks'?");
  CHECK(file_message("checks: {t.lwo: {max: 1}}") ==
        "p.yaml: /checks/t.lwo: unknown check 't.lwo'; did you mean 't.low'?");
  CHECK(file_message("checks: {t.low: {maxx: 1}}") ==
        "p.yaml: /checks/t.low/maxx: check 't.low' has no field 'maxx': expected one of min, max, "
        "severity, min_n");
  CHECK(file_message("checks: {t.low: {max: high}}") ==
        "p.yaml: /checks/t.low/max: bad value for 't.low.max': expected number, found \"high\"");
  CHECK(file_message("checks: {t.low: {max: null}}").find("bad value") != std::string::npos);
  CHECK(file_message("checks: {t.low: {severity: fatal}}").find("expected one of error") !=
        std::string::npos);
  CHECK(file_message("settings: {t.facto: 2}") ==
        "p.yaml: /settings/t.facto: unknown setting 't.facto'; did you mean 't.factor'?");
  CHECK(
      file_message("settings: {t.min_count: 0}").find("expected integer of at least 1, found 0") !=
      std::string::npos);
  CHECK(file_message("settings: {t.flag: \"true\"}").find("expected boolean") != std::string::npos);
}

TEST_CASE("a policy file of another form is refused as configuration") {
  const char* const broken[] = {"",
                                "null",
                                "[]",
                                "text",
                                "version: 2",
                                "version: \"1\"",
                                "checks: {}",
                                "version: 1\nchecks: []",
                                "version: 1\nchecks: {t.low: 3}",
                                "version: 1\nsettings: 5",
                                "version: 1\nchecks: {t.low: {max: 1, max: 2}}",
                                "version: 1\nchecks: &a {t.low: *a}",
                                "version: 1\nchecks: {t.low: {max: 1}",
                                "version: 1\n---\nversion: 1",
                                "version: 1\nchecks: {? [a] : {max: 1}}",
                                "\xff\xfe"};
  for (const char* yaml : broken) {
    INFO(yaml);
    const std::string message = usage_message([&] { fresh().apply_yaml(yaml, "p.yaml"); });
    CHECK(message.find("p.yaml") == 0);
  }
  CHECK(usage_message([] { fresh().apply_file("/nonexistent/p.yaml"); }).find("/nonexistent") == 0);
  CHECK(usage_message([] { fresh().apply_yaml("checks: {}", "p.yaml"); }).find("version") !=
        std::string::npos);
}

TEST_CASE("a very long unknown name is shortened in the message") {
  const std::string name(100000, 'x');
  CHECK(set_message(name + "=1").size() < 600);
  CHECK(file_message("settings: {" + name.substr(0, 1000) + ": 1}").size() < 600);
}

TEST_CASE("limits that exclude every value are refused once all layers are in") {
  const auto load = [](std::vector<std::string> sets) {
    return usage_message([&] { (void)load_policy(test::table(), {.sets = std::move(sets)}); });
  };
  CHECK(load({"t.low.min=0.6"}) ==
        "t.low: the limits exclude every value: expected min at most max, found min 0.6 and max "
        "0.5");
  CHECK(load({"t.low.min=0.6", "t.low.max=0.9"}) == "no error");
}

TEST_CASE("asking for an unknown check or setting is our mistake") {
  const Policy policy = fresh();
  const auto kind_of = [](auto act) {
    try {
      act();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::Usage;
  };
  CHECK(kind_of([&] { (void)policy.check("t.none"); }) == ErrorKind::Internal);
  CHECK(kind_of([&] { (void)policy.number("t.none"); }) == ErrorKind::Internal);
  CHECK(kind_of([&] { (void)policy.number("t.min_count"); }) == ErrorKind::Internal);
}

}  // namespace loraproof::report
