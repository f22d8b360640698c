// SPDX-License-Identifier: Apache-2.0
// Adds units up. One for each thread; their counts are added up afterwards. Nothing here depends on
// the order of units.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "loraproof/drift/products.h"
#include "loraproof/drift/profile.h"
#include "loraproof/drift/tables.h"
#include "loraproof/drift/token_facts.h"
#include "loraproof/drift/unit.h"

namespace loraproof::drift {

class Accumulator {
 public:
  /// All of these outlive the accumulator. `features`: names, in the order of Unit::features.
  Accumulator(const Map& map, const MapTables& tables, const TokenFacts& facts,
              const std::vector<std::string>& features);

  void add(const Unit& unit);

  /// The counts so far. Ends the accumulator.
  [[nodiscard]] Counts finish();

 private:
  void count_tokens(const Unit& unit);
  void count_ngrams(std::span<const std::int32_t> ids);
  void add_shares(std::int64_t tokens);
  void add_lenses(const Unit& unit);
  void add_lens(Lens lens, std::int64_t x, std::int64_t y, bool is_share);
  void add_features(const Unit& unit);
  void flush();

  const Map& map_;
  const MapTables& tables_;
  const TokenFacts& facts_;
  Counts sums_;
  // Tables that each token looks into are kept small and together: the core's own cache holds them.
  struct TokenState {
    std::int64_t df = 0, tf = 0;
    std::uint32_t count = 0;  // in this unit; zero between units
  };
  std::vector<TokenState> tokens_;       // by id
  std::vector<std::int32_t> distinct_;   // ids of this unit
  std::vector<std::uint64_t> cell_set_;  // a bit for each bigram cell of this unit; then zero
  std::vector<std::uint32_t> cells_;     // of this unit
  std::vector<std::uint32_t> bigrams_;   // cells of a text's bigrams
  std::vector<std::uint64_t> trigrams_;  // hashes of those of its trigrams that count
  std::vector<std::uint32_t> cell_df_;   // by cell, until the next flush
  ProductSums products_;                 // of the sketch, until the next flush
  ProductSums group_products_;           // likewise
  std::int64_t unflushed_ = 0;
  std::array<std::vector<std::int64_t>, kLensCount> bins_;  // by lens, by key
  struct UnitCounts {
    std::int64_t unseen = 0, fallback = 0, special = 0;
    std::int64_t bigrams = 0, distinct_cells = 0, trigrams = 0, novel = 0;
  } counts_;
};

}  // namespace loraproof::drift
