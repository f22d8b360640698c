// SPDX-License-Identifier: Apache-2.0
// What weights a run keeps, streams and prefetches under a memory budget. Pure arithmetic on the
// headers: the store follows it, --dry-run prints it.
//
// What counts against the budget: weights in the compute type, mapped pages included. That is the
// layers that stay, the layers in flight (the one that computes and the one that is prefetched) and
// the head, whole or in parts. What does not: activations, logits, adapters, libtorch itself.
#pragma once

#include <c10/core/ScalarType.h>
#include <cstdint>
#include <optional>

#include "loraproof/io/checkpoint.h"
#include "loraproof/model/decoder_config.h"

namespace loraproof::engine {

/// Rows of the head that are read at once when it does not stay.
inline constexpr std::int64_t kHeadPartRows = 16384;

struct MemoryPlan {
  std::uint64_t total_bytes = 0;          ///< all weights
  std::uint64_t largest_layer_bytes = 0;  ///< one layer
  std::uint64_t head_part_bytes = 0;      ///< kHeadPartRows rows of the head
  std::int64_t kept_layers = 0;           ///< layers [0, kept_layers) stay once they were read
  bool keep_head = false;
  bool prefetch = true;          ///< layer i + 1 is read while layer i computes
  std::uint64_t held_bytes = 0;  ///< most that weights occupy at any time
  bool within_budget = true;     ///< false: not even one layer fits; held_bytes exceed it

  [[nodiscard]] bool resident(const model::DecoderConfig& config) const {
    return keep_head && kept_layers == config.num_layers;
  }
};

/// Without a budget, or with one that all weights fit in, everything stays. Else two layers are in
/// flight, and what is left keeps the head and then the first layers. A budget below two layers
/// (or one and a part of the head) goes without prefetch; one below a single layer is exceeded.
[[nodiscard]] MemoryPlan plan_memory(const io::Checkpoint& base, const model::DecoderConfig& config,
                                     at::ScalarType compute,
                                     std::optional<std::uint64_t> budget_bytes);

}  // namespace loraproof::engine
