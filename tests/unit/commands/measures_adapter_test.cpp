// SPDX-License-Identifier: Apache-2.0
// effect.scale as the product judges it: the measure, the rule's own limit, the check.
#include <ATen/ATen.h>
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/commands/measures.h"
#include "loraproof/report/gate.h"
#include "support/catch.h"

namespace loraproof::commands {
namespace {

using report::Status;

// One module for each scale: of rank 4 on a weight of ones, so that ‖D‖/‖W‖ = 4·scale.
report::Check scale_check(const std::vector<double>& scales, bool use_rslora,
                          const std::vector<std::string>& sets = {}) {
  adapter::PatchSet patches;
  adapter::EffectSums sums;
  for (const double scale : scales) {
    const std::string name = "m" + std::to_string(patches.size());
    adapter::ModulePatch& patch = patches[name];
    patch.lora_a = patch.lora_b = at::ones({4, 4});
    patch.scale = scale;
    sums.add(name, patch, at::ones({4, 4}), adapter::BaseModule::Kind::Linear);
  }
  const report::Policy policy = load_policy({.sets = sets}, Json::object(), "");
  const auto checks = report::gate(effect_measures(sums, patches, use_rslora), policy);
  const auto found = std::ranges::find(checks, "effect.scale", &report::Check::id);
  REQUIRE(found != checks.end());
  return *found;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a plausible scale passes with its figures") {
  const report::Check check = scale_check({0.01, 0.02, 0.01}, false);
  CHECK(check.status == Status::Pass);
  CHECK(check.value.value() == Approx(0.04));
  CHECK(check.n == 3);
  CHECK(has(check.message, "largest 0.08 in m1"));
  CHECK(has(check.message, "0.08 with use_rslora on"));  // times the square root of the rank
}

TEST_CASE("an implausible scale warns, never fails, and says what the other convention gives") {
  const report::Check check = scale_check({0.2, 0.15, 0.01}, true);
  CHECK(check.status == Status::Warn);
  CHECK(check.value.value() == Approx(0.6));
  CHECK(has(check.message, "largest 0.8 in m0"));
  CHECK(has(check.message, "0.3 with use_rslora off"));
  CHECK(has(check.message, "is above the limit 0.5"));
  CHECK(has(check.hint, "lora_alpha, r and use_rslora"));
}

TEST_CASE("the limit of the scale is the rule's, and a policy changes it") {
  CHECK(scale_check({0.124}, false).status == Status::Pass);
  CHECK(scale_check({0.126}, false).status == Status::Warn);
  CHECK(scale_check({0.126}, false, {"effect.scale.max=0.6"}).status == Status::Pass);
  CHECK(scale_check({0.05}, false, {"effect.scale.max=0.1"}).status == Status::Warn);
  CHECK(scale_check({0.126}, false, {"effect.scale.severity=error"}).status == Status::Fail);
}

TEST_CASE("an adapter without a low-rank update has no scale to judge") {
  const report::Check check = scale_check({}, false);
  CHECK(check.status == Status::Skipped);
  CHECK(has(check.message, "no low-rank update"));
}

}  // namespace
}  // namespace loraproof::commands
