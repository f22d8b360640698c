// SPDX-License-Identifier: Apache-2.0
// What a user of the library gets for a name that is not there: a usage Error with the nearest one.
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "loraproof/commands/drift_compare.h"
#include "loraproof/commands/merge.h"
#include "loraproof/commands/quantcheck.h"
#include "loraproof/commands/session.h"
#include "loraproof/commands/validate.h"
#include "loraproof/deploy/deployment.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace loraproof::commands {
namespace {

const std::string kRoot = LORAPROOF_SOURCE_DIR;

// The text of the usage Error that `act` throws; anything else fails.
std::string usage_error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Usage);
    return error.what();
  }
  return "no error";
}

// Every name is parsed to its own value, and a value's name is found again.
template <class Table, class Parse>
void check_table(const Table& table, Parse parse) {
  std::set<std::string> names;
  for (const auto& choice : table) {
    INFO(choice.name);
    CHECK(parse(choice.name) == choice.value);
    CHECK(choice_name(table, choice.value) == choice.name);
    CHECK(names.emplace(choice.name).second);
  }
  for (const char* wrong : {"", "Cat", "none of them", "bf16 "}) {
    INFO(wrong);
    CHECK(usage_error_of([&] { (void)parse(wrong); }).find("expected one of") != std::string::npos);
  }
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every option that is one of a few names knows them, and refuses others as usage") {
  check_table(kComputeNames, parse_compute);
  check_table(kAgainstNames, golden::parse_against);
  check_table(kMergedTypeNames, parse_merged_type);
  check_table(kCombinationNames, parse_combination);
  check_table(kMajoritySignNames, parse_majority_sign);
  check_table(kDeploymentNames, parse_deployment);
  check_table(kBlameModeNames, parse_blame_mode);
  check_table(kAdapterTypeNames, parse_adapter_type);
  check_table(kLogFormatNames, parse_log_format);
  check_table(kSideNames, parse_side);
  check_table(kCalibrationNames, parse_calibration);
}

TEST_CASE("the names mean what they say") {
  CHECK(parse_combination("dare_ties") == merge::Combination::DareTies);
  CHECK(parse_combination("magnitude_prune") == merge::Combination::MagnitudePrune);
  CHECK(parse_deployment("B") == deploy::Order::MergedThenQuantised);
  CHECK(parse_deployment("D") == deploy::Order::MergedIntoQuantised);
  CHECK(scalar_type_of(parse_compute("bf16")) == at::kBFloat16);
  CHECK(scalar_type_of(parse_compute("fp32")) == at::kFloat);
  CHECK(parse_side("output") == drift::Side::Output);
  for (const auto& [order, name] : deploy::kOrderNames) CHECK(deploy::name_of(order) == name);
  for (const auto& [side, name] : kSideNames) CHECK(drift::name_of(side) == name);
}

TEST_CASE("a mistyped name is answered with the nearest one") {
  CHECK(usage_error_of([] { (void)parse_combination("dare_tie"); }) ==
        "--combine: unknown value: expected one of cat, linear, ties, dare_linear, dare_ties, "
        "magnitude_prune, svd, found 'dare_tie'; did you mean 'dare_ties'?");
  CHECK(usage_error_of([] { (void)parse_deployment("E"); }) ==
        "--deployment: unknown value: expected one of A, B, C, D, found 'E'");
}

TEST_CASE("a scheme or device that is not there is a usage error of the command") {
  const auto progress = make_silent_progress();
  Context context{.progress = *progress};
  const std::string base = kRoot + "/examples/demo-model/base";
  const std::string adapter = kRoot + "/examples/demo-model/adapter";
  const std::string suite = kRoot + "/golden/suites/demo";
  const test::TempDir folder;

  CHECK(has(usage_error_of([&] {
              (void)quantcheck(
                  {.base = base, .adapter = adapter, .golden = suite, .schemes = {"nf5"}}, context);
            }),
            "did you mean 'nf4'?"));
  CHECK(has(usage_error_of([&] {
              (void)quantcheck({.base = base,
                                .adapter = adapter,
                                .golden = suite,
                                .schemes = {"nf4"},
                                .trained_on = "nf5"},
                               context);
            }),
            "unknown quantisation scheme"));
  CHECK(has(usage_error_of([&] {
              (void)quantcheck(
                  {.base = base,
                   .adapter = adapter,
                   .golden = suite,
                   .schemes = {"nf4"},
                   .orders = {deploy::Order::QuantisedBase, deploy::Order::MergedOntoTrained}},
                  context);
            }),
            "--deployment: unknown value"));
  CHECK(has(usage_error_of([&] {
              (void)merge({.base = base,
                           .adapters = {adapter},
                           .out = folder.path() / "out",
                           .base_scheme = "nf5"},
                          context);
            }),
            "did you mean 'nf4'?"));
  CHECK(usage_error_of([&] {
          (void)validate(
              {.base = base, .adapters = {adapter}, .golden = suite, .engine = {.device = "cpuu"}},
              context);
        }) == "--device: unknown device: expected auto, cpu, cuda or cuda:N, found cpuu");
}

}  // namespace loraproof::commands
