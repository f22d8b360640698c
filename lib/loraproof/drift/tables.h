// SPDX-License-Identifier: Apache-2.0
// What follows from a map, by token id: weight and cell of the sketch, group, seen or unseen.
// Integers from integers, so that every machine has the same tables.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/drift/hash.h"
#include "loraproof/drift/map.h"
#include "loraproof/drift/profile.h"

namespace loraproof::drift {

/// sqrt(1 / max(pi, 1e-4)) in units of 2^-kFixedBits, rounded down; pi = tf / total. Between 1 and
/// 100 (kMaxWeight). A total of 0 gives the largest.
[[nodiscard]] std::int32_t sketch_weight(std::int64_t tf, std::int64_t total);
inline constexpr std::int64_t kMaxWeight = std::int64_t{100} << kFixedBits;

struct MapTables {
  MapTables(const Map& map, const Key& key, std::int32_t id_limit);

  /// One token's, together: they are read together, for each token of each prompt.
  struct Entry {
    std::int32_t weight = 0;  ///< signed
    std::uint8_t cell = 0;    ///< < kSketchSize
    std::uint8_t group = 0;   ///< < kGroups
    bool seen = false;        ///< the slice has it
  };
  std::vector<Entry> tokens;  ///< by id
  /// How many groups hold one frequent token each, several common ones, rare or unseen ones; in
  /// this order from group 0.
  std::size_t head_groups = 0;
  std::size_t common_groups = 0;
  std::size_t rare_groups = 0;
  SipKey bigram_key;
  SipKey ngram_key;
};

/// Tokens in fewer units of the slice count as rare.
inline constexpr std::int64_t kRareDf = 5;

static_assert(kSketchSize == 256, "a cell is one byte");

[[nodiscard]] [[gnu::always_inline]] inline std::uint32_t bigram_cell(const SipKey& key,
                                                                      std::int32_t first,
                                                                      std::int32_t second) {
  const std::uint64_t word = static_cast<std::uint32_t>(first) |
                             static_cast<std::uint64_t>(static_cast<std::uint32_t>(second)) << 32;
  return static_cast<std::uint32_t>(siphash_word(key, word) & (kBigramCells - 1));
}

[[nodiscard]] [[gnu::always_inline]] inline std::uint64_t trigram_hash(const SipKey& key,
                                                                       const std::int32_t* ids) {
  const std::uint64_t word = static_cast<std::uint32_t>(ids[0]) |
                             static_cast<std::uint64_t>(static_cast<std::uint32_t>(ids[1])) << 32;
  return siphash_words(key, word, static_cast<std::uint32_t>(ids[2]));
}

/// True when the hash belongs to the sample of a filter.
[[nodiscard]] inline bool in_sample(std::uint64_t hash, std::int32_t sample_bits) {
  return (hash & ((std::uint64_t{1} << sample_bits) - 1)) == 0;
}

/// A filter of these hashes (distinct, all in the sample). Empty for none.
[[nodiscard]] NgramFilter make_filter(const std::vector<std::uint64_t>& hashes,
                                      std::int32_t sample_bits);
/// How many of these hashes, all in the sample, it doesn't have.
[[nodiscard]] std::int64_t count_missing(const NgramFilter& filter,
                                         std::span<const std::uint64_t> hashes);

}  // namespace loraproof::drift
