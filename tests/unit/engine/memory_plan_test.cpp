// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/memory_plan.h"

#include "four_layers.h"
#include "support/catch.h"

using namespace loraproof;
using test::kHeadBytes;
using test::kLayerBytes;
using test::kNormBytes;
using test::kTotalBytes;

TEST_CASE("a memory budget is spent on layers in flight, then the head, then layers that stay") {
  const test::FourLayers m;
  struct Case {
    std::optional<std::uint64_t> budget;
    std::int64_t kept_layers;
    bool keep_head, prefetch, within;
    std::uint64_t held;
  };
  const std::uint64_t two = kNormBytes + 2 * kLayerBytes;  // least with prefetch
  const std::uint64_t one = kNormBytes + kLayerBytes;      // least at all
  const std::vector<Case> cases = {
      {std::nullopt, 4, true, true, true, kTotalBytes},
      {kTotalBytes, 4, true, true, true, kTotalBytes},
      {kTotalBytes - 1, 2, true, true, true, two + kHeadBytes + 2 * kLayerBytes},
      {two + kHeadBytes + kLayerBytes, 1, true, true, true, two + kHeadBytes + kLayerBytes},
      {two + kHeadBytes, 0, true, true, true, two + kHeadBytes},
      {two + kHeadBytes - 1, 0, false, true, true, two},
      {two, 0, false, true, true, two},
      {two - 1, 0, false, false, true, one},
      {one, 0, false, false, true, one},
      {one - 1, 0, false, false, false, one},
      {1, 0, false, false, false, one},
  };
  for (const Case& c : cases) {
    const auto plan = engine::plan_memory(m.base, m.config, at::kFloat, c.budget);
    INFO("budget " << (c.budget ? std::to_string(*c.budget) : "none"));
    CHECK(plan.kept_layers == c.kept_layers);
    CHECK(plan.keep_head == c.keep_head);
    CHECK(plan.prefetch == c.prefetch);
    CHECK(plan.within_budget == c.within);
    CHECK(plan.held_bytes == c.held);
    CHECK(plan.held_bytes <= std::max(c.budget.value_or(kTotalBytes), one));
    CHECK(plan.resident(m.config) == (!c.budget || *c.budget >= kTotalBytes));
  }
}

TEST_CASE("the budget counts the compute type, not the stored one") {
  const test::FourLayers m;
  const auto plan = engine::plan_memory(m.base, m.config, at::kBFloat16, kTotalBytes / 2);
  CHECK(plan.resident(m.config));
  CHECK(plan.held_bytes == kTotalBytes / 2);
  CHECK(plan.largest_layer_bytes == kLayerBytes / 2);
}
