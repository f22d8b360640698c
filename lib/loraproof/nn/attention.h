// SPDX-License-Identifier: Apache-2.0
// Causal attention with grouped-query heads and an optional sliding window: over ragged segments
// that may share prefixes, and of one new token per sequence against cached keys and values.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <optional>
#include <vector>

namespace loraproof::nn {

/// Parts of N tokens laid end to end. A segment that continues another sees that one's tokens (and
/// what it continues) before its own.
struct Segments {
  std::vector<std::int64_t> lengths;  ///< tokens per segment, at least 1; sum = N
  std::vector<std::int64_t> parents;  ///< the segment continued, one that lies before; -1: none
};

/// q [N, H, Dh], k and v [N, K, Dh]; K divides H. `window`: a token sees itself and the window - 1
/// tokens before it (transformers sliding_window_overlay). Returns [N, H*Dh] in q's type; softmax
/// scale 1/sqrt(Dh).
[[nodiscard]] at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   const Segments& segments, std::optional<std::int64_t> window);

/// Keys and values of one layer for S sequences, each with room of its own among C places: sequence
/// i holds begins[i] .. begins[i] + used[i] - 1.
struct LayerKv {
  at::Tensor keys;    ///< [K, C, Dh]
  at::Tensor values;  ///< [K, C, Dh]
  std::vector<std::int64_t> begins, used;
};

/// One new token for each of S sequences: q [S, H, Dh], k and v [S, K, Dh] -> [S, H*Dh]. The new
/// keys and values are written to `cache` first, which must have room for them.
[[nodiscard]] at::Tensor attention_step(const at::Tensor& q, const at::Tensor& k,
                                        const at::Tensor& v, std::optional<std::int64_t> window,
                                        LayerKv& cache);

/// Keys and values of one layer for the N tokens of a pack.
struct PackKv {
  at::Tensor keys;    ///< [N, K, Dh]
  at::Tensor values;  ///< [N, K, Dh]
};

}  // namespace loraproof::nn
