// SPDX-License-Identifier: Apache-2.0
// Lanes of one sweep against others: next-token distributions over the whole vocabulary, row by
// row. Nothing recorded is needed; logits of all rows never exist at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "loraproof/core/progress.h"
#include "loraproof/engine/layer_store.h"
#include "loraproof/engine/sweep.h"
#include "loraproof/golden/reference.h"
#include "loraproof/stats/token_divergence.h"

namespace loraproof::golden {

/// A lane to compare with an earlier one, or with itself: a reference.
struct ComparedLane {
  const engine::Lane* lane = nullptr;
  std::size_t against = 0;  ///< its place in the list
  /// Of an earlier lane in the list: this one is that one up to `layer`, and is computed from
  /// there.
  struct Fork {
    std::size_t lane = 0;
    std::int64_t layer = 0;
  };
  std::optional<Fork> fork = {};
};

/// N rows as in Sequence::rows over all sequences.
struct LaneDivergence {
  std::vector<stats::TokenDivergence> tokens;  ///< [N]
  std::vector<std::int32_t> best_id;           ///< [N]: argmax of this lane
  std::vector<float> gap;  ///< [N]: logit of the token that follows minus the best other
  Embeddings embeddings;
};

enum class RowsRead { All, Answers };

struct DivergenceRequest {
  std::span<const Sequence> sequences;
  std::span<const ComparedLane> lanes;
  RowsRead rows = RowsRead::All;  ///< others stay zero
};

/// One per lane; a reference has no divergence, but its own argmax and gaps.
[[nodiscard]] std::vector<LaneDivergence> diverge(engine::LayerStore& store,
                                                  const DivergenceRequest& request,
                                                  Progress& progress,
                                                  const engine::Packing& packing = {});

/// engine::layer_errors over the sequences, for lanes against `reference`.
[[nodiscard]] std::vector<std::vector<double>> layer_errors(
    engine::LayerStore& store, std::span<const Sequence> sequences, const engine::Lane& reference,
    std::span<const engine::Lane* const> lanes, Progress& progress);

/// Rows of prompt and answer, told apart: which prompt each row belongs to, and whether it predicts
/// a token of the answer.
struct RowPlaces {
  std::vector<std::int64_t> prompt;
  std::vector<bool> is_answer;
};
[[nodiscard]] RowPlaces row_places(std::span<const Sequence> sequences);

}  // namespace loraproof::golden
