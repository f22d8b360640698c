// SPDX-License-Identifier: Apache-2.0
// Runs golden sequences through the engine and boils the result down to what comparison needs. The
// comparison itself (compare.h) does not know where an Observation came from.
#pragma once

#include <ATen/core/Tensor.h>
#include <span>
#include <vector>

#include "loraproof/core/progress.h"
#include "loraproof/engine/layer_store.h"
#include "loraproof/engine/pack.h"
#include "loraproof/engine/sweep.h"
#include "loraproof/golden/reference.h"

namespace loraproof::golden {

/// N rows as in Sequence::rows over all sequences; CPU tensors.
struct Observation {
  Embeddings embeddings;
  at::Tensor
      next_logprob;     ///< [N] f32: log-probability of the token that the sequence continues with
  at::Tensor next_gap;  ///< [N] f32: logit of that token minus the best other logit; > 0: argmax
  at::Tensor best_id;   ///< [N] i32: argmax
  Distributions top;    ///< the own top k; only when asked for
  at::Tensor
      at_reference;  ///< [N, k] f32: log-probabilities at the reference's ids; only when given
  at::Tensor tail_at_reference;  ///< [N] f32: log of the mass outside of those ids
};

/// One lane's part of a sweep.
struct ObserveRequest {
  const engine::Lane* lane = nullptr;
  std::span<const Sequence> sequences;
  std::int64_t top_k = 0;    ///< > 0: fill Observation::top
  at::Tensor reference_ids;  ///< [N, k] i32, or undefined
};

/// Teacher-forces every request's sequences in one sweep of the base. One Observation per request.
/// Sequences of a request may share prefixes, or be equal; the head runs once per distinct row.
[[nodiscard]] std::vector<Observation> observe(engine::LayerStore& store,
                                               std::span<const ObserveRequest> requests,
                                               Progress& progress,
                                               const engine::Packing& packing = {});

}  // namespace loraproof::golden
