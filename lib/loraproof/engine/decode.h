// SPDX-License-Identifier: Apache-2.0
// Greedy decoding of many prompts at once with a KV cache: for recording, and for the prompts of a
// validation that diverge from their reference.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/engine/sweep.h"

namespace loraproof::engine {

struct DecodeRequest {
  std::vector<std::int32_t> prefix;  ///< prompt, and any answer tokens already fixed; not empty
  std::int64_t max_new_tokens = 0;
};

/// The tokens that greedy decoding (argmax, first index on equal logits) appends to each prefix, up
/// to its limit, ending with the first of `stop_ids` when one is produced. Finished sequences leave
/// the batch.
[[nodiscard]] std::vector<std::vector<std::int32_t>> greedy_decode(
    LayerStore& store, const Lane& lane, std::span<const DecodeRequest> requests,
    std::span<const std::int32_t> stop_ids, Progress& progress);

}  // namespace loraproof::engine
