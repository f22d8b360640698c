// SPDX-License-Identifier: Apache-2.0
// Causal attention over ragged sequences, with grouped-query heads, an optional sliding window and
// an optional cache of earlier keys and values.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <optional>
#include <vector>

namespace loraproof::nn {

/// Keys and values of one layer, one entry per sequence; grows with each call of attention().
struct LayerKv {
  std::vector<at::Tensor> keys;    ///< each [K, T, Dh]
  std::vector<at::Tensor> values;  ///< each [K, T, Dh]
};

/// q [N, H, Dh], k and v [N, K, Dh] hold the sequences of `lengths` one after the other (sum = N);
/// K divides H. With `cache`, each sequence first sees its cached keys, and its new ones are added.
/// `window`: a token sees itself and the window - 1 tokens before it (transformers
/// sliding_window_overlay). Returns [N, H*Dh] in q's type; softmax scale 1/sqrt(Dh).
[[nodiscard]] at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   const std::vector<std::int64_t>& lengths,
                                   std::optional<std::int64_t> window, LayerKv* cache);

}  // namespace loraproof::nn
