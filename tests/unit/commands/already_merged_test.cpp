// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/already_merged.h"

#include <array>
#include <vector>

#include "support/catch.h"

namespace loraproof::commands {
namespace {

// One weight of 100 elements with |W|² = 4.
std::vector<merge::FileResult> written(double inner, double delta2) {
  merge::MergeSums sums{.elements = 100, .intended2 = delta2, .base2 = 4};
  sums.inner = inner;
  sums.summed2 = delta2;
  return {{.name = "model.safetensors", .touched = {{"q.weight", "q", sums}}}};
}

}  // namespace

TEST_CASE("the share of the change in the base, with its weight taken out") {
  const std::array one = {1.0};
  const std::array half = {0.5, 0.5};
  const std::array unlike = {0.5, 2.0};
  CHECK(already_merged(written(3, 4), one).value == Approx(0.75));
  CHECK_FALSE(already_merged(written(3, 4), one).outcome.has_value());
  CHECK(already_merged(written(3, 4), half).value == Approx(0.375));
  CHECK(already_merged(written(3, 4), unlike).value == Approx(0.75));
}

TEST_CASE("a change that chance could hold decides nothing, and none is skipped") {
  const std::array one = {1.0};
  // sigma = sqrt(4 · 0.01 / 100) / 0.01 = 2
  CHECK(already_merged(written(0.02, 0.01), one).outcome == report::Outcome::Skipped);
  CHECK(already_merged(written(0, 0), one).outcome == report::Outcome::Skipped);
}

}  // namespace loraproof::commands
