// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/attention.h"

#include <ATen/ATen.h>
#include <cmath>

#include "support/catch.h"

using namespace loraproof;

namespace {

// Attention by its definition, in f64, one query and head at a time.
at::Tensor naive(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                 std::int64_t first_query, std::optional<std::int64_t> window) {
  const std::int64_t heads = q.size(1), share = heads / k.size(1), dim = q.size(2);
  at::Tensor out = at::zeros({q.size(0), heads * dim}, at::kDouble);
  for (std::int64_t t = 0; t < q.size(0); ++t) {
    const std::int64_t position = first_query + t;
    const std::int64_t from = window ? std::max<std::int64_t>(0, position - *window + 1) : 0;
    for (std::int64_t h = 0; h < heads; ++h) {
      const at::Tensor keys =
          k.select(1, h / share).narrow(0, from, position - from + 1).to(at::kDouble);
      const at::Tensor values =
          v.select(1, h / share).narrow(0, from, position - from + 1).to(at::kDouble);
      const at::Tensor scores =
          keys.matmul(q[t][h].to(at::kDouble)) / std::sqrt(static_cast<double>(dim));
      out[t].narrow(0, h * dim, dim).copy_(at::softmax(scores, 0).matmul(values));
    }
  }
  return out;
}

struct Random {
  at::Tensor q, k, v;
  explicit Random(std::int64_t tokens) {
    at::manual_seed(7);
    q = at::randn({tokens, 4, 8});
    k = at::randn({tokens, 2, 8});
    v = at::randn({tokens, 2, 8});
  }
};

bool close(const at::Tensor& a, const at::Tensor& b) {
  return at::allclose(a.to(at::kDouble), b, 1e-5, 1e-6);
}

}  // namespace

TEST_CASE("attention of ragged sequences equals the definition, one by one") {
  const Random r(9);
  for (const std::optional<std::int64_t> window :
       {std::optional<std::int64_t>(), std::optional<std::int64_t>(3),
        std::optional<std::int64_t>(1)}) {
    const at::Tensor out = nn::attention(r.q, r.k, r.v, {2, 1, 6}, window, nullptr);
    std::int64_t begin = 0;
    for (std::int64_t length : {2, 1, 6}) {
      const auto part = [&](const at::Tensor& x) { return x.narrow(0, begin, length); };
      CHECK(close(part(out), naive(part(r.q), part(r.k), part(r.v), 0, window)));
      begin += length;
    }
  }
}

TEST_CASE("attention with a cache equals attention over the whole sequence") {
  const Random r(10);
  for (const std::optional<std::int64_t> window :
       {std::optional<std::int64_t>(), std::optional<std::int64_t>(4)}) {
    nn::LayerKv cache;
    std::vector<at::Tensor> steps;
    // Two sequences of 6 and 4 tokens, fed as (3, 2) then (2, 1) then (1, 1).
    const std::vector<std::vector<std::int64_t>> chunks = {{3, 2}, {2, 1}, {1, 1}};
    std::int64_t at_a = 0, at_b = 6;
    for (const auto& chunk : chunks) {
      const auto take = [&](const at::Tensor& x) {
        return at::cat({x.narrow(0, at_a, chunk[0]), x.narrow(0, at_b, chunk[1])});
      };
      const at::Tensor out = nn::attention(take(r.q), take(r.k), take(r.v), chunk, window, &cache);
      const auto expected = [&](std::int64_t begin, std::int64_t at, std::int64_t count) {
        const auto upto = [&](const at::Tensor& x) {
          return x.narrow(0, begin, at - begin + count);
        };
        return naive(r.q.narrow(0, at, count), upto(r.k), upto(r.v), at - begin, window);
      };
      CHECK(close(out.narrow(0, 0, chunk[0]), expected(0, at_a, chunk[0])));
      CHECK(close(out.narrow(0, chunk[0], chunk[1]), expected(6, at_b, chunk[1])));
      at_a += chunk[0];
      at_b += chunk[1];
    }
  }
}
