// SPDX-License-Identifier: Apache-2.0
// Ragged batches without padding: token sequences laid end to end.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace loraproof::engine {

struct Pack {
  std::vector<std::int32_t> ids;  ///< all sequences' new tokens, one after the other; N in total
  std::vector<std::int64_t>
      starts;  ///< per sequence: position of its first new token (0 = no cache)
  std::vector<std::int64_t> lengths;  ///< per sequence: number of new tokens, at least 1

  [[nodiscard]] std::int64_t num_tokens() const { return static_cast<std::int64_t>(ids.size()); }
  [[nodiscard]] std::size_t num_sequences() const { return lengths.size(); }
  void add(std::span<const std::int32_t> tokens, std::int64_t start = 0);
};

/// Bounds the activations of one forward. Fixed, so that the kernels chosen, and with them the bits
/// of the result, depend on the input alone.
inline constexpr std::int64_t kMaxPackTokens = 4096;

/// How sequences are laid into packs. The results are the same but for rounding.
struct Packing {
  std::int64_t max_tokens = kMaxPackTokens;
  bool share_prefixes = true;
};

/// Packs whole sequences in order, opening a new pack where one would pass `max_tokens` (a longer
/// sequence gets a pack of its own). Empty sequences are an internal Error.
[[nodiscard]] std::vector<Pack> pack_sequences(std::span<const std::vector<std::int32_t>> sequences,
                                               std::int64_t max_tokens = kMaxPackTokens);

}  // namespace loraproof::engine
