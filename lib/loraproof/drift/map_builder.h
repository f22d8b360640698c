// SPDX-License-Identifier: Apache-2.0
// Makes a map out of the units of the slice. Builders of several threads add up to the same map
// whatever they were given.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/drift/hash.h"
#include "loraproof/drift/map.h"
#include "loraproof/drift/unit.h"

namespace loraproof::drift {

/// Distinct values of 64-bit hashes, thinned to those that end in enough zero bits when there are
/// more than `kCapacity`. The result depends only on the set of values.
class HashSample {
 public:
  void add(std::uint64_t hash) {
    if ((hash & mask_) != 0) return;
    values_.push_back(hash);
    if (values_.size() >= 2 * kCapacity) shrink();
  }
  void add(const HashSample& other);
  /// Sorted and distinct, at most kCapacity; call once at the end.
  void shrink();
  [[nodiscard]] const std::vector<std::uint64_t>& values() const { return values_; }
  [[nodiscard]] std::int32_t bits() const { return bits_; }

  static constexpr std::size_t kCapacity = std::size_t{1} << 20;

 private:
  std::vector<std::uint64_t> values_;
  std::int32_t bits_ = 0;
  std::uint64_t mask_ = 0;
};

class MapBuilder {
 public:
  MapBuilder(const Key& key, std::int32_t id_limit);

  /// A unit that was drawn into the slice.
  void add(const Unit& unit);
  /// A unit that was not.
  void pass() { ++seen_; }
  void add(const MapBuilder& other);

  /// `header` gives side, holdout, settings, tokenizer and key id. Ends the builder.
  [[nodiscard]] Map finish(Map header);

 private:
  SipKey ngram_key_;
  std::vector<std::int64_t> df_;
  std::vector<std::int64_t> tf_;
  std::vector<std::int64_t> last_unit_;  ///< that counted for df
  std::int64_t units_ = 0;
  std::int64_t seen_ = 0;
  std::int64_t tokens_ = 0;
  HashSample ngrams_;
};

}  // namespace loraproof::drift
