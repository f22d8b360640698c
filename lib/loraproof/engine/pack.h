// SPDX-License-Identifier: Apache-2.0
// Ragged batches without padding: token sequences laid end to end, with prefixes that several of
// them share laid down once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "loraproof/nn/attention.h"
#include "loraproof/nn/rope.h"

namespace loraproof::engine {

/// Segments of tokens, one after the other. A segment continues the one that is its parent; it is a
/// sequence of its own where it has none.
struct Pack {
  std::vector<std::int32_t> ids;     ///< all segments' tokens; N in total
  std::vector<std::int64_t> starts;  ///< per segment: position of its first token
  nn::Segments segments;

  [[nodiscard]] std::int64_t num_tokens() const { return static_cast<std::int64_t>(ids.size()); }
  [[nodiscard]] std::size_t num_segments() const { return segments.lengths.size(); }
  /// A segment without a parent; `start` counts the tokens that a cache holds before it.
  void add(std::span<const std::int32_t> tokens, std::int64_t start = 0);
  /// A segment that continues segment `parent`.
  void add_child(std::int64_t parent, std::span<const std::int32_t> tokens);
};

/// Bounds the activations of one forward. Fixed, so that the kernels chosen, and with them the bits
/// of the result, depend on the input alone.
inline constexpr std::int64_t kMaxPackTokens = 4096;

struct Packing {
  std::int64_t max_tokens = kMaxPackTokens;
  bool share_prefixes = true;  ///< a common prefix is computed once
};

/// Where a sequence went: the row of each of its tokens in a pack's hidden states.
struct Placement {
  std::size_t pack = 0;
  std::vector<std::int64_t> rows;  ///< one per token; shared ones occur in several placements
};

struct PackedSequences {
  std::vector<Pack> packs;
  std::vector<Placement> placements;  ///< per sequence, in the order given
};

/// Packs whole sequences, opening a new pack where its distinct tokens would pass `max_tokens` (a
/// longer sequence gets a pack of its own). Sequences of a pack follow the order given, the first
/// of a family bringing its family along. Sequences whose rotary
/// frequencies depend on their length share nothing. Empty sequences are an internal Error.
[[nodiscard]] PackedSequences pack_sequences(std::span<const std::vector<std::int32_t>> sequences,
                                             const nn::RopeConfig& rope,
                                             const Packing& packing = {});

}  // namespace loraproof::engine
