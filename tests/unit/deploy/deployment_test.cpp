// SPDX-License-Identifier: Apache-2.0
// What each order makes of a weight, put together by hand from a cast whose rounding torch knows.
#include "loraproof/deploy/deployment.h"

#include <ATen/ATen.h>
#include <cmath>

#include "loraproof/core/error.h"
#include "loraproof/deploy/merged_weight.h"
#include "loraproof/deploy/simulate.h"
#include "support/catch.h"

namespace loraproof::deploy {
namespace {

const std::string kModule = "model.layers.0.mlp.up_proj";

at::Tensor random(std::initializer_list<std::int64_t> shape, double size) {
  return at::randn(shape, at::TensorOptions(at::kFloat)) * size;
}

struct Case {
  adapter::BaseModules modules = {
      {kModule, {.out = 48, .in = 64}},
      {model::kEmbedding, {.kind = adapter::BaseModule::Kind::Embedding}}};
  nn::LinearWeights base;
  adapter::PatchSet patches;

  explicit Case(at::ScalarType type) {
    at::manual_seed(3);
    base.weight = random({48, 64}, 0.05).to(type);
    adapter::ModulePatch patch;
    patch.lora_a = random({4, 64}, 0.1);
    patch.lora_b = random({48, 4}, 0.1);
    patch.scale = 0.5;
    patches[kModule] = patch;
    patches[model::kEmbedding].weight = random({8, 64}, 1);
  }

  [[nodiscard]] const adapter::ModulePatch& patch() const { return patches.at(kModule); }
  // W + D in f64.
  [[nodiscard]] at::Tensor sum(const at::Tensor& weight) const {
    return weight.to(at::kDouble) +
           at::matmul(patch().lora_b.to(at::kDouble), patch().lora_a.to(at::kDouble)) *
               patch().scale;
  }
  [[nodiscard]] Deployment deployment(Order order, const char* scheme) const {
    return Deployment({.order = order,
                       .scheme = scheme == nullptr ? nullptr : &quant::find_scheme(scheme),
                       .patches = &patches,
                       .modules = &modules,
                       .stored = base.weight.scalar_type()});
  }
};

}  // namespace

TEST_CASE("a merged weight is the f64 sum rounded once, with DoRA and a bias too") {
  const at::ScalarType type = GENERATE(at::kHalf, at::kFloat);
  Case one(type);
  // torch rounds f64 to F16 by way of f32, and sums in another order: a few elements may differ.
  const auto differing = [&](const at::Tensor& found, const at::Tensor& expected) {
    return found.ne(expected.to(type)).sum().item<std::int64_t>();
  };
  CHECK(differing(merged_weight(one.base, one.patch(), type).weight, one.sum(one.base.weight)) <=
        2);
  adapter::ModulePatch& patch = one.patches[kModule];
  patch.magnitude = at::rand({48}, at::TensorOptions(at::kFloat)) + 0.5;
  patch.lora_bias = random({48}, 0.1);
  one.base.bias = random({48}, 0.1).to(type);
  const nn::LinearWeights dora = merged_weight(one.base, patch, type);
  const at::Tensor rows = one.sum(one.base.weight);
  const at::Tensor norm = at::linalg_vector_norm(rows, 2, at::IntArrayRef{1});
  CHECK(differing(dora.weight, rows * (patch.magnitude.to(at::kDouble) / norm).unsqueeze(1)) <= 2);
  CHECK(differing(dora.bias, one.base.bias.to(at::kDouble) +
                                 patch.lora_bias.to(at::kDouble) * patch.scale) <= 1);
}

TEST_CASE("the intended change is that of f64, with DoRA and for a replaced weight too") {
  const at::ScalarType type = GENERATE(at::kBFloat16, at::kFloat);
  Case one(type);
  adapter::ModulePatch& patch = one.patches[kModule];
  const at::Tensor before = one.base.weight.to(at::kDouble);
  const auto equals = [&](const at::Tensor& expected) {
    const at::Tensor found = intended_change(one.base.weight, patch);
    CHECK(found.scalar_type() == at::kFloat);
    CHECK((found - expected).abs().max().item<double>() < 1e-6);
  };
  equals(one.sum(one.base.weight) - before);
  patch.weight = random({48, 64}, 0.05);
  equals(one.sum(patch.weight) - before);
  patch.magnitude = at::rand({48}, at::TensorOptions(at::kFloat)) + 0.5;
  const at::Tensor rows = one.sum(patch.weight);
  const at::Tensor norm = at::linalg_vector_norm(rows, 2, at::IntArrayRef{1});
  equals(rows * (patch.magnitude.to(at::kDouble) / norm).unsqueeze(1) - before);
  patch = {.weight = patch.weight};
  equals(patch.weight.to(at::kDouble) - before);
  patch = {};
  equals(at::zeros_like(before));
}

TEST_CASE("orders differ in when they round") {
  const Case one(at::kFloat);
  const auto cast = [](const at::Tensor& weight) { return weight.to(at::kHalf).to(at::kFloat); };
  const auto merged = [&](const at::Tensor& weight) { return one.sum(weight).to(at::kFloat); };
  const at::Tensor& w = one.base.weight;
  const auto made = [&](Order order) {
    return one.deployment(order, order == Order::Merged ? nullptr : "fp16")
        .linear(kModule, one.base)
        .weight;
  };
  CHECK(at::equal(made(Order::QuantisedBase), cast(w)));
  CHECK(at::equal(made(Order::MergedThenQuantised), cast(merged(w))));
  CHECK(at::equal(made(Order::Merged), merged(w)));
  CHECK(at::equal(made(Order::MergedIntoQuantised), cast(merged(cast(w)))));
  CHECK(at::equal(made(Order::MergedOntoTrained), merged(cast(w))));
}

TEST_CASE("an adapter stays beside the weights where they don't have it") {
  const Case one(at::kBFloat16);
  CHECK(one.deployment(Order::QuantisedBase, "nf4").patches_beside().size() == 2);
  const adapter::PatchSet beside =
      one.deployment(Order::MergedThenQuantised, "nf4").patches_beside();
  CHECK(beside.size() == 1);
  CHECK(beside.contains(model::kEmbedding));
  // Heads and embeddings are not quantised by bitsandbytes; modules can be kept as well.
  CHECK_FALSE(one.deployment(Order::QuantisedBase, "nf4").changes(model::kHead));
  Deployment kept({.order = Order::QuantisedBase,
                   .scheme = &quant::find_scheme("nf4"),
                   .patches = &one.patches,
                   .modules = &one.modules,
                   .skips = [](const std::string&) { return true; }});
  CHECK_FALSE(kept.changes(kModule));
  CHECK(at::equal(kept.linear(kModule, one.base).weight, one.base.weight));
}

TEST_CASE("damage: what survives, what is added, what it costs") {
  const Case one(at::kFloat);
  const Deployment merged = one.deployment(Order::Merged, nullptr);
  (void)merged.linear(kModule, one.base);
  const WeightDamage& exact = merged.damage().at(kModule);
  CHECK(exact.change.survival() == Approx(1).epsilon(1e-4));
  CHECK(exact.change.noise() < 1e-3);
  CHECK(exact.bytes == 48 * 64 * 4);
  CHECK(std::isinf(exact.sqnr()));

  const Deployment quantised = one.deployment(Order::QuantisedBase, "nf4");
  const at::Tensor after = quantised.linear(kModule, one.base).weight;
  const WeightDamage& damage = quantised.damage().at(kModule);
  const at::Tensor d = one.sum(one.base.weight) - one.base.weight.to(at::kDouble);
  const at::Tensor e = after.to(at::kDouble) - one.base.weight.to(at::kDouble) + d;
  const double rho = ((e * d).sum() / (d * d).sum()).item<double>();
  const double noise =
      at::linalg_vector_norm(e - rho * d).item<double>() / at::linalg_vector_norm(d).item<double>();
  CHECK(damage.change.survival() == Approx(rho).epsilon(1e-4));
  CHECK(damage.change.noise() == Approx(noise).epsilon(1e-3));
  CHECK(damage.bytes == 48 * 64 / 2 + 48 * 64 / 64 * 4);
  CHECK(damage.sqnr() > 15);
}

TEST_CASE("damage is weighted by what the reference's layers see") {
  const Case one(at::kFloat);
  LayerInputs inputs(nullptr);
  const at::Tensor x =
      random({32, 64}, 1) * at::linspace(0.1, 4, 64, at::TensorOptions(at::kFloat));
  (void)inputs.linear(kModule, one.base).inputs(x);
  const Deployment quantised({.order = Order::QuantisedBase,
                              .scheme = &quant::find_scheme("nf4"),
                              .patches = &one.patches,
                              .modules = &one.modules,
                              .stored = at::kFloat,
                              .inputs = &inputs});
  const nn::LinearWeights made = quantised.linear(kModule, one.base);
  CHECK_FALSE(made.inputs);  // nf4 leaves inputs as they are
  const WeightDamage& damage = quantised.damage().at(kModule);
  const at::Tensor m = x.to(at::kDouble).square().mean(0);
  const at::Tensor d = one.sum(one.base.weight) - one.base.weight.to(at::kDouble);
  const at::Tensor off = made.weight.to(at::kDouble) - one.base.weight.to(at::kDouble);
  const at::Tensor e = off + d;
  CHECK(damage.weighted.survival() ==
        Approx(((e * d * m).sum() / (d * d * m).sum()).item<double>()).epsilon(1e-4));
  const at::Tensor w = one.base.weight.to(at::kDouble);
  CHECK(damage.output_error() ==
        Approx(((off * off * m).sum() / (w * w * m).sum()).item<double>()).epsilon(1e-3));
  CHECK(damage.outlier_channels > 0);
  CHECK(damage.largest_input == x.abs().max().item<double>());
}

TEST_CASE("a scheme's inputs are quantised where its weights are") {
  const Case one(at::kFloat);
  const at::Tensor x = random({3, 64}, 1);
  for (const Order order : {Order::QuantisedBase, Order::MergedThenQuantised}) {
    const nn::LinearWeights made = one.deployment(order, "int8-w8a8").linear(kModule, one.base);
    REQUIRE(made.inputs);
    CHECK_FALSE(at::equal(made.inputs(x), x));
  }
  CHECK_FALSE(
      one.deployment(Order::MergedOntoTrained, "int8-w8a8").linear(kModule, one.base).inputs);
}

TEST_CASE("a matrix that a scheme refuses is named") {
  Case one(at::kBFloat16);
  one.modules[kModule].in = 48;
  one.deployment(Order::QuantisedBase, "nf4").expect_shapes();
  try {
    one.deployment(Order::QuantisedBase, "int4").expect_shapes();
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(error.detail().where == kModule + ", int4");
  }
}

}  // namespace loraproof::deploy
