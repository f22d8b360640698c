// SPDX-License-Identifier: Apache-2.0
// One pass over the base, layer by layer, that carries all runs (a lane on a pack) along: a layer's
// weights are read once and serve every run, then go.
#pragma once

#include <ATen/core/Tensor.h>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "loraproof/core/progress.h"
#include "loraproof/engine/lane.h"
#include "loraproof/engine/layer_store.h"
#include "loraproof/engine/pack.h"

namespace loraproof::engine {

/// Keys and values of all layers for sequences that are decoded together.
using KvCache = std::vector<nn::LayerKv>;

struct Run {
  const Lane* lane = nullptr;
  const Pack* pack = nullptr;
  KvCache* cache = nullptr;  ///< the pack holds the next token of each cached sequence; may be null
  std::vector<nn::PackKv>* kept = nullptr;  ///< receives keys and values per layer; may be null
  /// Begins at this layer with the hidden states that an earlier run of the same pack has there.
  struct Fork {
    std::size_t run = 0;
    std::int64_t layer = 0;
  };
  std::optional<Fork> fork;
};

/// The hidden states after the final norm, per run: [N, D] in the compute type.
[[nodiscard]] std::vector<at::Tensor> sweep(LayerStore& store, std::span<const Run> runs,
                                            Progress& progress);

/// How much of each layer's output a lane's weights change, per lane [layers]: the mean over tokens
/// of |f'(x) - f(x)|^2 / |f(x)|^2, where f is the layer in the reference run, f' in the lane, and x
/// what the reference has before it. One pass; nothing propagates.
[[nodiscard]] std::vector<std::vector<double>> layer_errors(LayerStore& store,
                                                            std::span<const Run> reference,
                                                            std::span<const Lane* const> lanes,
                                                            Progress& progress);

/// Rows of hidden states whose logits somebody reads, and what to do with them.
struct LogitRequest {
  const Lane* lane = nullptr;
  at::Tensor hidden;  ///< [M, D], after the final norm
  /// Called in row order with blocks of logits [b, V] f32 (rounded to the compute type before, as
  /// transformers' lm_head does); `first_row` counts rows of `hidden`.
  std::function<void(std::int64_t first_row, const at::Tensor& logits)> visit;
};

/// Applies the head in row blocks, so that logits of [M, V] never exist at once.
void visit_logits(LayerStore& store, std::span<const LogitRequest> requests, Progress& progress);

/// The same for lanes whose hidden states belong to the same M rows: each block of rows is visited
/// in all lanes, in their order, before the next. Logits [b, V] f32 are valid until the same lane's
/// next block.
struct LaneRows {
  const Lane* lane = nullptr;
  at::Tensor hidden;  ///< [M, D], after the final norm
};
void visit_logits_side_by_side(LayerStore& store, std::span<const LaneRows> lanes,
                               const std::function<void(std::size_t lane, std::int64_t first_row,
                                                        const at::Tensor& logits)>& visit,
                               Progress& progress);

}  // namespace loraproof::engine
