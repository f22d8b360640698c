// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/row_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "support/catch.h"

using namespace loraproof;

namespace {

template <typename T>
nn::Matrix<const T> in(const at::Tensor& t) {
  return {t.const_data_ptr<T>(), t.size(0), t.size(1), t.stride(0)};
}
template <typename T>
nn::Matrix<T> out(const at::Tensor& t) {
  return {t.data_ptr<T>(), t.size(0), t.size(1), t.stride(0)};
}
using BFloat16 = c10::BFloat16;

struct Operands {
  at::Tensor x, weight, bias;
  Operands(std::int64_t rows, std::int64_t depth, std::int64_t outs) {
    at::manual_seed(rows * 1000 + depth);
    x = at::randn({rows, depth}).to(at::kBFloat16);
    weight = at::randn({outs, depth}).to(at::kBFloat16);
    bias = at::randn({outs}).to(at::kBFloat16);
  }
  [[nodiscard]] at::Tensor f64() const {
    return x.to(at::kDouble).matmul(weight.to(at::kDouble).t());
  }
  [[nodiscard]] at::Tensor product() const {
    const at::Tensor result = at::empty({x.size(0), weight.size(0)}, at::kBFloat16);
    nn::row_product(in<BFloat16>(x), in<BFloat16>(weight), nullptr, nullptr, out<BFloat16>(result));
    return result;
  }
};

// Half a unit of bfloat16, and what the f32 sum itself may be off by.
bool rounded_from(const at::Tensor& found, const at::Tensor& exact) {
  return at::allclose(found.to(at::kDouble), exact, 1.0 / 256, 1e-4);
}

}  // namespace

TEST_CASE("products of every shape equal float64, rounded once") {
  for (const std::int64_t rows : {1, 2, 5, 6, 7, 13, 40}) {
    for (const std::int64_t depth : {1, 8, 15, 16, 64, 100}) {
      for (const std::int64_t outs : {1, 15, 16, 17, 200}) {
        const Operands o(rows, depth, outs);
        INFO(rows << " x " << depth << " x " << outs);
        CHECK(rounded_from(o.product(), o.f64()));
        at::Tensor with_bias = at::empty({rows, outs}, at::kFloat);
        nn::row_product(in<BFloat16>(o.x), in<BFloat16>(o.weight),
                        o.bias.const_data_ptr<BFloat16>(), nullptr, out<float>(with_bias));
        CHECK(rounded_from(with_bias, o.f64() + o.bias.to(at::kDouble)));
        CHECK(at::equal(with_bias, with_bias.to(at::kBFloat16).to(at::kFloat)));
      }
    }
  }
}

TEST_CASE("small integers are exact: each output is the sum by hand") {
  const at::Tensor x = at::tensor({1.0, 2.0, 3.0}).reshape({1, 3}).to(at::kBFloat16);
  const at::Tensor weight =
      at::tensor({1.0, 1.0, 1.0, 0.0, -1.0, 2.0}).reshape({2, 3}).to(at::kBFloat16);
  const at::Tensor result = at::empty({1, 2}, at::kBFloat16);
  nn::row_product(in<BFloat16>(x), in<BFloat16>(weight), nullptr, nullptr, out<BFloat16>(result));
  CHECK(result[0][0].item<float>() == 6.0F);
  CHECK(result[0][1].item<float>() == 4.0F);
}

TEST_CASE("a row's result depends neither on other rows nor on threads") {
  const Operands o(45, 96, 130);
  const at::Tensor all = o.product();
  const int threads = at::get_num_threads();
  for (const int count : {1, 3, 16}) {
    at::set_num_threads(count);
    CHECK(at::equal(o.product(), all));
  }
  at::set_num_threads(threads);
  for (std::int64_t row : {0, 7, 44}) {
    const at::Tensor one = at::empty({1, 130}, at::kBFloat16);
    nn::row_product(in<BFloat16>(o.x.narrow(0, row, 1)), in<BFloat16>(o.weight), nullptr, nullptr,
                    out<BFloat16>(one));
    CHECK(at::equal(one, all.narrow(0, row, 1)));
  }
}

TEST_CASE("the low-rank path is added to the rounded product in f32 and rounded once") {
  for (const std::int64_t rows : {1, 9}) {
    const Operands o(rows, 24, 35);
    const at::Tensor a = at::randn({4, 24}), b = at::randn({35, 4}), lora_bias = at::randn({35});
    at::Tensor u = at::empty({rows, 4}, at::kFloat);
    nn::row_product(in<BFloat16>(o.x), in<float>(a), out<float>(u));
    CHECK(at::allclose(u, at::linear(o.x.to(at::kFloat), a), 1e-5, 1e-5));
    const nn::LowRank low{in<float>(u), in<float>(b), lora_bias.const_data_ptr<float>(), 1.5F};
    const at::Tensor base = o.product();
    const at::Tensor expected =
        base.to(at::kDouble) + (at::linear(u, b) + lora_bias).to(at::kDouble) * 1.5;
    const at::Tensor fused = at::empty({rows, 35}, at::kBFloat16);
    nn::row_product(in<BFloat16>(o.x), in<BFloat16>(o.weight), nullptr, &low, out<BFloat16>(fused));
    CHECK(rounded_from(fused, expected));
    nn::add_low_rank(low, out<BFloat16>(base));
    CHECK(at::equal(fused, base));
  }
}

TEST_CASE("ties round to even, infinities stay and NaN stays NaN") {
  const at::Tensor x = at::tensor({1.0F, 1.0F / 256}).reshape({1, 2}).to(at::kBFloat16);
  const at::Tensor weight =
      at::tensor({1.0F, 1.0F, 1.0F, 3.0F, INFINITY, 1.0F, NAN, 1.0F}).reshape({4, 2});
  at::Tensor result = at::empty({1, 4}, at::kFloat);
  nn::row_product(in<BFloat16>(x), in<BFloat16>(weight.to(at::kBFloat16)), nullptr, nullptr,
                  out<float>(result));
  CHECK(result[0][0].item<float>() == 1.0F);
  CHECK(result[0][1].item<float>() == 1.0F + 4.0F / 256);
  CHECK(result[0][2].item<float>() == INFINITY);
  CHECK(std::isnan(result[0][3].item<float>()));
}
