// SPDX-License-Identifier: Apache-2.0
// Quantised inputs against the formulas of their libraries, written out in torch's own operations.
// tests/live/quantcheck_live.py runs whole models beside the libraries themselves.
#include "loraproof/deploy/quantised_inputs.h"

#include <ATen/ATen.h>

#include "loraproof/deploy/layer_inputs.h"
#include "support/catch.h"

namespace loraproof::deploy {
namespace {

using quant::Activations;

// [6, 200]: with a row of zeros and outliers.
at::Tensor tokens(at::ScalarType type) {
  at::manual_seed(5);
  at::Tensor x = at::randn({6, 200}, at::TensorOptions(at::kFloat));
  x[1].zero_();
  x[2][7] = 30.0;
  x[3] *= 1e-3;
  return x.to(type);
}

at::Tensor largest_of_rows(const at::Tensor& x) { return x.abs().amax(1, true); }

}  // namespace

TEST_CASE("int8 and E4M3 by token") {
  const at::ScalarType type = GENERATE(at::kFloat, at::kBFloat16);
  const at::Tensor x = tokens(type);
  const at::Tensor some = largest_of_rows(x).gt(0);  // 0 / 0 is left to the zeros below
  const at::Tensor int8 = largest_of_rows(x) / 127.5;
  const at::Tensor codes = (x / int8).round().clamp(-128, 127);
  const at::Tensor made = quantised_inputs({Activations::Int8PerToken}, x);
  CHECK(made.scalar_type() == type);
  CHECK(at::equal(made, at::where(some, codes * int8, x)));
  const at::Tensor e4m3 = largest_of_rows(x) / 448;
  const at::Tensor floats = (x / e4m3).clamp(-448, 448).to(at::kFloat8_e4m3fn).to(type);
  CHECK(at::equal(quantised_inputs({Activations::E4m3PerToken}, x),
                  at::where(some, floats * e4m3, x)));
}

// Of x [[1, -3, 0.37, 2.96], [0...], [100, -99.6, 3.14, -0.4]]: Int8Tensor.from_hp(x, PerRow()) and
// Float8Tensor.from_hp(x) of torchao 0.18 on CPU, qdata.float() * scale in the type of x. It makes
// NaN of the zeros in float8.
TEST_CASE("int8 and E4M3 by token as torchao rounds them") {
  const at::Tensor x =
      at::tensor({1.0F, -3.0F, 0.37F, 2.96F, 0.0F, 0.0F, 0.0F, 0.0F, 100.0F, -99.6F, 3.14F, -0.4F});
  const auto check = [&](Activations activations, at::ScalarType type,
                         std::initializer_list<float> expected) {
    const at::Tensor made =
        quantised_inputs({activations}, x.to(at::kBFloat16).to(type).reshape({3, 4}));
    CHECK(made.scalar_type() == type);
    CHECK(at::equal(made.to(at::kFloat).flatten(), at::tensor(expected)));
  };
  check(Activations::Int8PerTokenTorchao, at::kBFloat16,
        {0.98828125F, -2.984375F, 0.376953125F, 2.9375F, 0, 0, 0, 0, 99.5F, -99.5F, 3.140625F,
         -0.78515625F});
  check(Activations::Int8PerTokenTorchao, at::kFloat,
        {0.9882352948188782F, -3.0117647647857666F, 0.3764705955982208F, 2.9647059440612793F, 0, 0,
         0, 0, 99.60784149169922F, -99.60784149169922F, 3.1372549533843994F, -0.7843137383460999F});
  check(Activations::E4m3PerTokenTorchao, at::kBFloat16,
        {0.9609375F, -3.0F, 0.375F, 3.0F, 0, 0, 0, 0, 100.0F, -100.0F, 3.125F, -0.390625F});
  check(
      Activations::E4m3PerTokenTorchao, at::kFloat,
      {0.9642857313156128F, -3.0F, 0.375F, 3.0F, 0, 0, 0, 0, 100.0F, -100.0F, 3.125F, -0.390625F});
}

TEST_CASE("E4M3 with one scale clips what is beyond the calibration") {
  const at::Tensor x = tokens(at::kFloat);
  const at::Tensor made =
      quantised_inputs({.activations = Activations::E4m3Static, .scale = 4.0 / 448}, x);
  CHECK(made.abs().max().item<float>() == Approx(4));
  const at::Tensor within = x.abs().lt(4);
  CHECK(((made - x).abs() / x.abs().clamp_min(0.1)).masked_select(within).max().item<float>() <=
        0x1p-4F);
}

TEST_CASE("E4M3 by groups of 128 columns, the last one short") {
  const at::Tensor x = tokens(at::kFloat);
  const at::Tensor made = quantised_inputs({Activations::E4m3PerGroup}, x);
  REQUIRE(made.sizes() == x.sizes());
  for (const auto& [begin, count] : {std::pair{0, 128}, std::pair{128, 72}}) {
    const at::Tensor group = x.narrow(1, begin, count);
    CHECK(at::equal(made.narrow(1, begin, count),
                    quantised_inputs({Activations::E4m3PerToken}, group)));
  }
}

TEST_CASE("LLM.int8() leaves outliers out of the scale and of the codes") {
  const at::Tensor x = tokens(at::kFloat);
  const at::Tensor half = x.to(at::kHalf).to(at::kFloat);
  const at::Tensor outliers = half.abs().ge(6);
  REQUIRE(outliers.sum().item<std::int64_t>() == 1);
  const at::Tensor made = quantised_inputs({Activations::Int8PerTokenAndOutliers}, x);
  CHECK(at::equal(made.masked_select(outliers), half.masked_select(outliers)));
  const at::Tensor rest = half.masked_fill(outliers, 0);
  const at::Tensor step = largest_of_rows(rest) / 127;
  const at::Tensor error = ((made - half).abs() / step.clamp_min(1e-12)).masked_fill(outliers, 0);
  CHECK(error.max().item<float>() <= 0.5001F);
  CHECK(at::allclose(quantised_inputs({Activations::Int8PerTokenAndOutliers, 0, 40}, x)[2],
                     (half[2] / (30.0 / 127)).round() * (30.0 / 127)));
}

TEST_CASE("what a lane's layers see is counted until it is told to stop") {
  const at::Tensor x = tokens(at::kBFloat16);
  LayerInputs inputs(nullptr);
  const std::string module = "model.layers.0.mlp.up_proj";
  CHECK(inputs.find(module) == nullptr);
  const nn::LinearWeights base{.weight = at::randn({3, 200}).to(at::kBFloat16), .bias = {}};
  for (const std::int64_t first : {0, 4}) {
    const nn::LinearWeights seen = inputs.linear(module, base);
    CHECK(at::equal(seen.weight, base.weight));
    CHECK(at::equal(seen.inputs(x.narrow(0, first, first == 0 ? 4 : 2)),
                    x.narrow(0, first, first == 0 ? 4 : 2)));
  }
  (void)inputs.linear("model.layers.1.mlp.up_proj", base);  // asked for, but nothing ran through it
  CHECK(inputs.find("model.layers.1.mlp.up_proj") == nullptr);
  const InputStatistics& statistics = *inputs.find(module);
  CHECK(at::allclose(statistics.mean_squares(), x.to(at::kDouble).square().mean(0)));
  CHECK(statistics.largest() == x.abs().max().item<double>());
  CHECK(statistics.outlier_channels() == 1);
  inputs.stop();
  CHECK_FALSE(inputs.linear(module, base).inputs);
  // An open scale is the largest input over the largest code.
  const auto rounding = rounding_of({Activations::E4m3Static}, module, &inputs);
  CHECK(at::equal(rounding(x), quantised_inputs({Activations::E4m3Static, 30.0 / 448}, x)));
  CHECK_FALSE(rounding_of({}, module, &inputs));
}

}  // namespace loraproof::deploy
