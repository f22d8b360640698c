// SPDX-License-Identifier: Apache-2.0
// The map: what was learned from a slice of the reference that no baseline contains. Weights of the
// sketch, groups of tokens, which tokens are unseen and which n-grams are new all follow from it.
// Bins learned from the data they are tested on alarm always (docs/drift_profile.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace loraproof::drift {

inline constexpr std::size_t kGroups = 64;

enum class Side : std::uint8_t { Prompt, Output };
[[nodiscard]] std::string_view name_of(Side side);

/// By what a unit of the reference is drawn into the slice. Place: its file's position and content,
/// so that repeats of a prompt are drawn one by one. Record: the whole line alone (or its cluster's
/// id), which partitions of the same data reproduce.
enum class Holdout : std::uint8_t { Place, Record };

struct MapToken {
  std::int32_t id = 0;
  std::int64_t df = 0;
  std::int64_t tf = 0;
  friend bool operator==(const MapToken&, const MapToken&) = default;
};

/// Which 3-grams of token ids the slice has: a Bloom filter with 1 % false positives over a keyed
/// sample of them (those whose hash ends in `sample_bits` zeros), so that its size is bounded.
struct NgramFilter {
  std::int32_t sample_bits = 0;
  std::int64_t ngrams = 0;           ///< distinct ones it was made from
  std::vector<std::uint64_t> words;  ///< empty: no filter
  friend bool operator==(const NgramFilter&, const NgramFilter&) = default;
};

struct Map {
  Side side = Side::Prompt;
  Holdout holdout = Holdout::Place;
  bool system_kept = false;
  bool clustered = false;
  std::string tokenizer;  ///< "sha256:..." of what decides ids
  std::string key_id;
  std::int64_t units = 0;  ///< of the slice
  std::int64_t seen = 0;   ///< units that the slice was drawn from
  std::int64_t token_total = 0;
  std::vector<MapToken> tokens;  ///< sorted by id
  NgramFilter filter;
  friend bool operator==(const Map&, const Map&) = default;
};

/// "side=prompt system=no cluster=no": what changes the meaning of a profile.
[[nodiscard]] std::string settings_of(const Map& map);

}  // namespace loraproof::drift
