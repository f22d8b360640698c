// SPDX-License-Identifier: Apache-2.0
// Sums of products of a unit's entries, for the covariances of sketch and groups.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/drift/profile.h"

namespace loraproof::drift {

/// The triangle sum over units of values[i] * values[j], i <= j. Units wait until there are some:
/// then each row of the triangle, which no near cache holds as a whole, is visited once for all.
class ProductSums {
 public:
  /// `size`: entries of a unit.
  explicit ProductSums(std::size_t size);
  /// Entries of one unit, each below 2^23 in size.
  void add(std::span<const std::int64_t> values);
  /// Adds what was added so far to `sums` (triangle_size(size)) and begins anew.
  void move_to(std::span<Int128> sums);

 private:
  void add_waiting();

  std::size_t size_;
  std::vector<std::int32_t> waiting_;  // [kWaiting, size]
  std::size_t count_ = 0;              // of units that wait
  std::vector<std::int64_t> sums_;
};

}  // namespace loraproof::drift
