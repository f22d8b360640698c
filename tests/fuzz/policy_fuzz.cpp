// SPDX-License-Identifier: Apache-2.0
// The policy: a loraproof.yaml, and --set arguments (one a line). What is wrong with either is a
// usage Error; what is accepted answers for every check and setting, in its own type and bounds.
#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "loraproof/core/file.h"
#include "loraproof/report/policy.h"

namespace {

using loraproof::Error;
using loraproof::ErrorKind;
using loraproof::fuzz::fuzz_check;
using loraproof::report::Policy;
using loraproof::report::RuleTable;

const RuleTable& rules() {
  static const RuleTable table =
      RuleTable::parse(loraproof::read_text_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) /
                                                 "lib" / "loraproof" / "commands" / "rules.yaml"),
                       "rules.yaml");
  return table;
}

template <class Act>
void only_usage_errors(const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    fuzz_check(error.kind() == ErrorKind::Usage, "errors about the policy are usage errors");
    fuzz_check(!error.detail().message.empty(), "errors have a message");
  }
}

void expect_answers(const Policy& policy) {
  for (const loraproof::report::Rule& rule : rules().rules())
    fuzz_check(policy.check(rule.id).min_n >= 0, "no count is negative");
  for (const loraproof::report::Setting& setting : rules().settings()) {
    if (setting.type != loraproof::report::SettingType::Number) continue;
    const double value = policy.number(setting.name);
    fuzz_check(!setting.min || value >= *setting.min, "a setting keeps its least value");
    fuzz_check(!setting.max || value <= *setting.max, "a setting keeps its largest value");
  }
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  return {.seeds = {"version: 1\n",
                    "version: 1\nchecks:\n  golden.kl_answer: {max: 0.02, severity: warn}\n"
                    "settings:\n  golden.min_prompts: 50\n",
                    "golden.text.min=0.9\ngolden.min_prompts=5\ngolden.nll.severity=ignore\n",
                    "version: 1\nchecks:\n  drift.psi: {severity: error, max: 0.2, min_n: 50}\n"
                    "  golden.text: {min: 0, severity: info}\n"
                    "settings:\n  golden.floor_multiple: 2.5\n"},
          .dictionary = {"version: 1",  "checks:", "settings:",
                         "golden.text", ".min",    "min_n: ",
                         "severity: ",  "ignore",  "golden.floor_multiple",
                         "=",           ": ",      "{",
                         "}",           "[",       "- ",
                         "&a ",         "*a",      "\n  ",
                         "1e308",       "-0.0",    ".nan",
                         "'",           "\"",      "? ",
                         "---\n",       "!!str ",  "|\n",
                         "\xff"}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = loraproof::fuzz::as_text(data, size);
  only_usage_errors([&] {
    Policy policy(rules());
    policy.apply_yaml(text, "fuzz");
    expect_answers(policy);
  });
  Policy policy(rules());
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    only_usage_errors([&] { policy.apply_set(line); });
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  expect_answers(policy);
  return 0;
}
