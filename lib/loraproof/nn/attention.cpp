// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/attention.h"

#include <ATen/ATen.h>
#include <algorithm>

#include "loraproof/nn/row_product.h"

namespace loraproof::nn {
namespace {

// True where a query may look: [T, S], queries are the last T of S positions.
at::Tensor visible(std::int64_t queries, std::int64_t keys, std::optional<std::int64_t> window,
                   const at::Device& device) {
  const auto options = at::TensorOptions(at::kLong).device(device);
  const at::Tensor q = at::arange(keys - queries, keys, options).unsqueeze(1);
  const at::Tensor k = at::arange(keys, options).unsqueeze(0);
  at::Tensor mask = k <= q;
  if (window) mask = at::logical_and(mask, k > q - *window);
  return mask;
}

// q [T, H, Dh], k and v [S, K, Dh] -> [T, H, Dh]
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  std::optional<std::int64_t> window) {
  const std::int64_t queries = q.size(0);
  const std::int64_t keys = k.size(0);
  const bool window_matters = window && keys > *window;
  const bool causal = !window_matters && queries == keys;
  std::optional<at::Tensor> mask;
  if (!causal && (window_matters || queries > 1)) mask = visible(queries, keys, window, q.device());
  const auto heads_first = [](const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); };
  const at::Tensor out = at::scaled_dot_product_attention(
      heads_first(q), heads_first(k), heads_first(v), mask, /*dropout_p=*/0.0,
      /*is_causal=*/causal && queries > 1, /*scale=*/std::nullopt,
      /*enable_gqa=*/q.size(1) != k.size(1));
  return out.squeeze(0).transpose(0, 1);
}

// The rows of the segments that `segment` continues, in order, then its own.
at::Tensor with_prefix(const at::Tensor& x, const Segments& segments,
                       const std::vector<std::int64_t>& begins, std::size_t segment) {
  std::vector<at::Tensor> parts;
  for (auto i = static_cast<std::int64_t>(segment); i >= 0;
       i = segments.parents[static_cast<std::size_t>(i)]) {
    const auto index = static_cast<std::size_t>(i);
    parts.push_back(x.narrow(0, begins[index], segments.lengths[index]));
  }
  if (parts.size() == 1) return parts.front();
  std::ranges::reverse(parts);
  return at::cat(parts);
}

// Without instructions for bfloat16 its products are slow: f32 then, rounded once at the end.
at::Tensor wide(const at::Tensor& x) {
  const bool upcast =
      x.device().is_cpu() && x.scalar_type() == at::kBFloat16 && !multiplies_bfloat16();
  return upcast ? x.to(at::kFloat) : x;
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const Segments& segments, std::optional<std::int64_t> window) {
  const at::Tensor queries = wide(q), keys = wide(k), values = wide(v);
  at::Tensor out = at::empty(q.sizes(), q.options());
  std::vector<std::int64_t> begins;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < segments.lengths.size(); ++i) {
    begins.push_back(begin);
    const std::int64_t length = segments.lengths[i];
    out.narrow(0, begin, length)
        .copy_(attend(queries.narrow(0, begin, length), with_prefix(keys, segments, begins, i),
                      with_prefix(values, segments, begins, i), window));
    begin += length;
  }
  return out.view({q.size(0), -1});
}

at::Tensor attention_step(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          std::optional<std::int64_t> window, LayerKv& cache) {
  std::vector<std::int64_t> fresh;
  for (std::size_t i = 0; i < cache.begins.size(); ++i)
    fresh.push_back(cache.begins[i] + cache.used[i]++);
  const at::Tensor index = at::tensor(fresh, at::kLong).to(q.device());
  cache.keys.index_copy_(1, index, k.transpose(0, 1));
  cache.values.index_copy_(1, index, v.transpose(0, 1));
  const auto cached = [](const at::Tensor& x, std::int64_t begin, std::int64_t count) {
    return wide(x.narrow(1, begin, count)).transpose(0, 1);
  };
  const at::Tensor queries = wide(q);
  at::Tensor out = at::empty(q.sizes(), q.options());
  for (std::size_t i = 0; i < cache.begins.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    const std::int64_t seen = window ? std::min(*window, cache.used[i]) : cache.used[i];
    const std::int64_t first = fresh[i] + 1 - seen;
    out.narrow(0, row, 1).copy_(attend(queries.narrow(0, row, 1), cached(cache.keys, first, seen),
                                       cached(cache.values, first, seen), std::nullopt));
  }
  return out.view({q.size(0), -1});
}

}  // namespace loraproof::nn
