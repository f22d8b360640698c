// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/weighted_sum.h"

#include <ATen/ATen.h>
#include <array>

#include "loraproof/core/error.h"
#include "support/catch.h"

namespace loraproof::adapter {
namespace {

ModulePatch lora(std::int64_t rank, double scale) {
  return {.lora_a = at::randn({rank, 6}), .lora_b = at::randn({4, rank}), .scale = scale};
}

// What a patch adds to the weight, and to the bias, in f64.
at::Tensor delta(const ModulePatch& patch) {
  return patch.lora_b.to(at::kDouble).matmul(patch.lora_a.to(at::kDouble)) * patch.scale;
}
at::Tensor bias_delta(const ModulePatch& patch) {
  return patch.lora_bias.to(at::kDouble) * patch.scale;
}

bool close(const at::Tensor& a, const at::Tensor& b) { return at::allclose(a, b, 1e-6, 1e-6); }

}  // namespace

TEST_CASE("three adapters add up with their weights, module by module") {
  at::manual_seed(5);
  PatchSet one{{"q", lora(2, 1.5)}, {"k", lora(3, 0.25)}};
  PatchSet two{{"q", lora(4, 0.7)}};
  PatchSet three{{"q", lora(1, 3.0)}};
  two["q"].lora_bias = at::randn({4});
  three["q"].lora_bias = at::randn({4});
  const std::array<WeightedPatches, 3> terms = {
      {{"one", &one, 0.5}, {"two", &two, -2.0}, {"three", &three, 0.1}}};
  const PatchSet sum = weighted_sum(terms);
  REQUIRE(sum.size() == 2);
  CHECK(sum.at("q").lora_a.size(0) == 7);
  CHECK(close(delta(sum.at("q")),
              0.5 * delta(one["q"]) - 2.0 * delta(two["q"]) + 0.1 * delta(three["q"])));
  CHECK(close(bias_delta(sum.at("q")), -2.0 * bias_delta(two["q"]) + 0.1 * bias_delta(three["q"])));
  CHECK(close(delta(sum.at("k")), 0.5 * delta(one["k"])));
}

TEST_CASE("a single adapter keeps its factors to the bit") {
  const PatchSet one{{"q", lora(2, 1.5)}};
  const std::array<WeightedPatches, 1> terms = {{{"one", &one, 1.0}}};
  const PatchSet sum = weighted_sum(terms);
  CHECK(at::equal(sum.at("q").lora_b, one.at("q").lora_b));
  CHECK(sum.at("q").scale == 1.5);
}

TEST_CASE("what is no sum is taken once, unweighted, or refused by name") {
  PatchSet dora{{"q", lora(2, 1.0)}};
  dora["q"].magnitude = at::ones({4});
  const PatchSet plain{{"q", lora(2, 1.0)}};
  PatchSet saved{{"q", lora(2, 1.0)}, {"head", {}}};
  saved["head"].weight = at::randn({4, 6});
  PatchSet other{{"head", {}}};
  other["head"].weight = at::randn({4, 6});
  const auto sum = [](std::vector<WeightedPatches> terms) { return weighted_sum(terms); };

  CHECK(sum({{"d", &dora, 1}}).at("q").magnitude.defined());
  const PatchSet both = sum({{"s", &saved, 1}, {"p", &plain, 0.5}});
  CHECK(at::equal(both.at("head").weight, saved["head"].weight));
  CHECK(both.at("q").lora_a.size(0) == 4);
  CHECK(
      at::equal(sum({{"s", &saved, 1}, {"t", &saved, 1}}).at("head").weight, saved["head"].weight));

  CHECK_THROWS_AS(static_cast<void>(sum({{"d", &dora, 0.5}})), Error);
  CHECK_THROWS_AS(static_cast<void>(sum({{"d", &dora, 1}, {"p", &plain, 1}})), Error);
  CHECK_THROWS_AS(static_cast<void>(sum({{"p", &plain, 1}, {"d", &dora, 1}})), Error);
  CHECK_THROWS_AS(static_cast<void>(sum({{"s", &saved, 0.5}})), Error);
  try {
    static_cast<void>(sum({{"s", &saved, 1}, {"o", &other, 1}}));
    FAIL("two replacements were taken");
  } catch (const Error& error) {
    CHECK(error.detail().where == "head");
    CHECK(error.detail().found == "adapter o with weight 1");
  }
}

}  // namespace loraproof::adapter
