// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/linear.h"

#include <ATen/ATen.h>

#include "loraproof/nn/norm.h"
#include "support/catch.h"

using namespace loraproof;

namespace {

struct Fixture {
  at::Tensor x, weight, bias;
  adapter::ModulePatch patch;
  Fixture() {
    at::manual_seed(3);
    x = at::randn({5, 6});
    weight = at::randn({4, 6});
    bias = at::randn({4});
    patch.lora_a = at::randn({2, 6});
    patch.lora_b = at::randn({4, 2});
    patch.scale = 1.5;
  }
  [[nodiscard]] at::Tensor f64(const at::Tensor& t) const { return t.to(at::kDouble); }
  [[nodiscard]] at::Tensor merged() const {
    return f64(weight) + 1.5 * f64(patch.lora_b).matmul(f64(patch.lora_a));
  }
};

bool close(const at::Tensor& a, const at::Tensor& b) {
  return at::allclose(a.to(at::kDouble), b, 1e-5, 1e-5);
}

}  // namespace

TEST_CASE("without a patch a linear is x Wt + b") {
  const Fixture f;
  CHECK(close(nn::linear(f.x, {f.weight, f.bias}, nullptr),
              f.f64(f.x).matmul(f.f64(f.weight).t()) + f.f64(f.bias)));
}

TEST_CASE("inputs of the weight are replaced, those of an adapter beside it are not") {
  Fixture f;
  const nn::LinearWeights doubled{f.weight, f.bias, [](const at::Tensor& x) { return x * 2; }};
  const at::Tensor of_base = 2 * f.f64(f.x).matmul(f.f64(f.weight).t()) + f.f64(f.bias);
  CHECK(close(nn::linear(f.x, doubled, nullptr), of_base));
  const at::Tensor delta = f.f64(f.x).matmul((f.merged() - f.f64(f.weight)).t());
  CHECK(close(nn::linear(f.x, doubled, &f.patch), of_base + delta));
  const at::Tensor x = f.x.to(at::kBFloat16), weight = f.weight.to(at::kBFloat16);
  const nn::LinearWeights halves{weight, {}, doubled.inputs};
  CHECK(at::allclose(
      nn::linear(x, halves, &f.patch).to(at::kDouble),
      2 * f.f64(x).matmul(f.f64(weight).t()) + f.f64(x).matmul((f.merged() - f.f64(f.weight)).t()),
      0x1p-7, 0x1p-6));
  f.patch.weight = f.weight;
  CHECK(
      close(nn::linear(f.x, doubled, &f.patch), f.f64(f.x).matmul(f.merged().t()) + f.f64(f.bias)));
}

TEST_CASE("LoRA, lora_bias and DoRA equal the merged weight in float64") {
  Fixture f;
  const auto expected = [&](const at::Tensor& weight, const at::Tensor& bias) {
    return f.f64(f.x).matmul(weight.t()) + bias;
  };
  CHECK(close(nn::linear(f.x, {f.weight, f.bias}, &f.patch), expected(f.merged(), f.f64(f.bias))));
  f.patch.lora_bias = at::randn({4});
  CHECK(close(nn::linear(f.x, {f.weight, f.bias}, &f.patch),
              expected(f.merged(), f.f64(f.bias) + 1.5 * f.f64(f.patch.lora_bias))));
  f.patch.lora_bias = at::Tensor();
  f.patch.magnitude = at::rand({4}) + 0.5;
  const at::Tensor norm = f.merged().norm(2, -1, true);
  CHECK(close(nn::linear(f.x, {f.weight, f.bias}, &f.patch),
              expected(f.merged() * f.f64(f.patch.magnitude).unsqueeze(1) / norm, f.f64(f.bias))));
}

TEST_CASE("a replaced weight and bias stand in for the base's") {
  Fixture f;
  adapter::ModulePatch patch{.weight = at::randn({4, 6}), .bias = at::randn({4})};
  CHECK(close(nn::linear(f.x, {f.weight, f.bias}, &patch),
              f.f64(f.x).matmul(f.f64(patch.weight).t()) + f.f64(patch.bias)));
}

TEST_CASE("a patch leaves nothing behind: the base answers the same before and after") {
  const Fixture f;
  const at::Tensor before = nn::linear(f.x, {f.weight, f.bias}, nullptr);
  const at::Tensor patched = nn::linear(f.x, {f.weight, f.bias}, &f.patch);
  CHECK_FALSE(at::allclose(before, patched));
  CHECK(at::equal(before, nn::linear(f.x, {f.weight, f.bias}, nullptr)));
}

TEST_CASE("bf16 output is the f32 sum rounded once") {
  Fixture f;
  const at::Tensor x = f.x.to(at::kBFloat16), weight = f.weight.to(at::kBFloat16);
  const at::Tensor base = at::linear(x, weight).to(at::kFloat);
  const at::Tensor delta =
      at::linear(at::linear(x.to(at::kFloat), f.patch.lora_a), f.patch.lora_b) * 1.5;
  CHECK(at::equal(nn::linear(x, {weight, {}}, &f.patch), (base + delta).to(at::kBFloat16)));
}

TEST_CASE("embedding LoRA adds rows of the delta") {
  Fixture f;
  const at::Tensor table = at::randn({7, 4});
  adapter::ModulePatch patch{
      .lora_a = at::randn({2, 7}), .lora_b = at::randn({4, 2}), .scale = 0.5};
  const at::Tensor ids = at::tensor({6, 0, 3}, at::kLong);
  const at::Tensor merged =
      f.f64(table) + 0.5 * f.f64(patch.lora_b).matmul(f.f64(patch.lora_a)).t();
  CHECK(close(nn::embedding(ids, table, &patch), merged.index_select(0, ids)));
}

TEST_CASE("rms_norm by hand") {
  // mean square of (3, 4) is 12.5
  const at::Tensor y =
      nn::rms_norm(at::tensor({3.0F, 4.0F}).reshape({1, 2}), at::tensor({1.0F, 2.0F}), 0.0);
  CHECK(y[0][0].item<double>() == Approx(3 / std::sqrt(12.5)));
  CHECK(y[0][1].item<double>() == Approx(8 / std::sqrt(12.5)));
}
