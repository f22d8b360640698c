// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/attention.h"

#include <ATen/ATen.h>

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

// q [H, T, Dh], k and v [K, S, Dh] -> [T, H*Dh]
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  std::optional<std::int64_t> window) {
  const std::int64_t queries = q.size(1);
  const std::int64_t keys = k.size(1);
  const bool window_matters = window && keys > *window;
  const bool causal = !window_matters && queries == keys;
  std::optional<at::Tensor> mask;
  if (!causal && (window_matters || queries > 1)) mask = visible(queries, keys, window, q.device());
  const at::Tensor out = at::scaled_dot_product_attention(
      q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), mask, /*dropout_p=*/0.0,
      /*is_causal=*/causal && queries > 1, /*scale=*/std::nullopt,
      /*enable_gqa=*/q.size(0) != k.size(0));
  return out.squeeze(0).transpose(0, 1).reshape({queries, -1});
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const std::vector<std::int64_t>& lengths, std::optional<std::int64_t> window,
                     LayerKv* cache) {
  std::vector<at::Tensor> outputs;
  outputs.reserve(lengths.size());
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const at::Tensor q_i = q.narrow(0, begin, lengths[i]).transpose(0, 1);
    at::Tensor k_i = k.narrow(0, begin, lengths[i]).transpose(0, 1);
    at::Tensor v_i = v.narrow(0, begin, lengths[i]).transpose(0, 1);
    if (cache != nullptr) {
      if (cache->keys.size() <= i) {
        cache->keys.push_back(k_i.contiguous());
        cache->values.push_back(v_i.contiguous());
      } else {
        cache->keys[i] = at::cat({cache->keys[i], k_i}, 1);
        cache->values[i] = at::cat({cache->values[i], v_i}, 1);
      }
      k_i = cache->keys[i];
      v_i = cache->values[i];
    }
    outputs.push_back(attend(q_i, k_i, v_i, window));
    begin += lengths[i];
  }
  return at::cat(outputs);
}

}  // namespace loraproof::nn
