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
    const at::Tensor out = nn::attention(r.q, r.k, r.v, {{2, 1, 6}, {-1, -1, -1}}, window);
    std::int64_t begin = 0;
    for (std::int64_t length : {2, 1, 6}) {
      const auto part = [&](const at::Tensor& x) { return x.narrow(0, begin, length); };
      CHECK(close(part(out), naive(part(r.q), part(r.k), part(r.v), 0, window)));
      begin += length;
    }
  }
}

TEST_CASE("a segment sees the segments that it continues, then itself") {
  // 0: 4 tokens; 1 and 3 continue 0; 2 continues 1; 4 stands alone.
  const nn::Segments segments{{4, 3, 2, 1, 2}, {-1, 0, 1, 0, -1}};
  const std::vector<std::vector<std::int64_t>> seen = {{0}, {0, 1}, {0, 1, 2}, {0, 3}, {4}};
  const std::vector<std::int64_t> begins = {0, 4, 7, 9, 10};
  const Random r(12);
  for (const std::optional<std::int64_t> window :
       {std::optional<std::int64_t>(), std::optional<std::int64_t>(5),
        std::optional<std::int64_t>(2)}) {
    const at::Tensor out = nn::attention(r.q, r.k, r.v, segments, window);
    for (std::size_t i = 0; i < seen.size(); ++i) {
      const auto part = [&](const at::Tensor& x, std::size_t segment) {
        return x.narrow(0, begins[segment], segments.lengths[segment]);
      };
      std::vector<at::Tensor> keys, values;
      for (std::int64_t segment : seen[i]) {
        keys.push_back(part(r.k, static_cast<std::size_t>(segment)));
        values.push_back(part(r.v, static_cast<std::size_t>(segment)));
      }
      const at::Tensor k = at::cat(keys), v = at::cat(values);
      INFO("segment " << i);
      CHECK(
          close(part(out, i), naive(part(r.q, i), k, v, k.size(0) - segments.lengths[i], window)));
    }
  }
}

TEST_CASE("attention of single tokens against a cache equals attention over the sequence") {
  const Random r(10);
  for (const std::optional<std::int64_t> window :
       {std::optional<std::int64_t>(), std::optional<std::int64_t>(4)}) {
    // Sequences of 6 and 4 tokens, of which 3 and 1 are cached at first; room in another order.
    nn::LayerKv cache{at::zeros({2, 12, 8}), at::zeros({2, 12, 8}), {5, 0}, {3, 1}};
    const auto store = [&](std::int64_t at, std::int64_t begin, std::int64_t count) {
      cache.keys.narrow(1, at, count).copy_(r.k.narrow(0, begin, count).transpose(0, 1));
      cache.values.narrow(1, at, count).copy_(r.v.narrow(0, begin, count).transpose(0, 1));
    };
    store(5, 0, 3);
    store(0, 6, 1);
    for (std::int64_t step = 0; step < 3; ++step) {
      const std::int64_t a = 3 + step, b = 7 + step;
      const auto take = [&](const at::Tensor& x) {
        return at::cat({x.narrow(0, a, 1), x.narrow(0, b, 1)});
      };
      const at::Tensor out = nn::attention_step(take(r.q), take(r.k), take(r.v), window, cache);
      const auto expected = [&](std::int64_t begin, std::int64_t at) {
        const auto upto = [&](const at::Tensor& x) { return x.narrow(0, begin, at - begin + 1); };
        return naive(r.q.narrow(0, at, 1), upto(r.k), upto(r.v), at - begin, window);
      };
      CHECK(close(out.narrow(0, 0, 1), expected(0, a)));
      CHECK(close(out.narrow(0, 1, 1), expected(6, b)));
    }
    CHECK(cache.used == std::vector<std::int64_t>{6, 4});
  }
}
