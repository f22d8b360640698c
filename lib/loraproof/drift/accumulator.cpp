// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/accumulator.h"

#include <algorithm>
#include <span>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/drift/merge.h"
#include "loraproof/drift/ngrams.h"

namespace loraproof::drift {
namespace {

// A product of two sketch entries is at most kMaxWeight^2 < 2^46, so 2^17 of them fit into 64 bits.
static_assert(kMaxWeight * kMaxWeight < std::int64_t{1} << 46);
constexpr std::int64_t kUnitsBeforeFlush = std::int64_t{1} << 17;

// To the nearest integer, halves away from zero; the divisor is positive.
std::int64_t rounded(std::int64_t value, std::int64_t divisor) {
  return value >= 0 ? (value + divisor / 2) / divisor : -((-value + divisor / 2) / divisor);
}

}  // namespace

Accumulator::Accumulator(const Map& map, const MapTables& tables, const TokenFacts& facts,
                         const std::vector<std::string>& features)
    : map_(map),
      tables_(tables),
      facts_(facts),
      sums_(empty_counts()),
      tokens_(tables.tokens.size()),
      cell_set_(kBigramCells / 64),
      cell_df_(kBigramCells),
      products_(kSketchSize),
      group_products_(kGroups) {
  for (auto& bins : bins_) bins.resize(static_cast<std::size_t>(max_log_key()) + 1);
  for (const std::string& name : features) sums_.features.push_back({.name = name});
}

void Accumulator::add(const Unit& unit) {
  const auto tokens = static_cast<std::int64_t>(unit.ids.size());
  ++sums_.units;
  sums_.empty_units += tokens == 0 ? 1 : 0;
  sums_.records += unit.records;
  sums_.tokens += tokens;
  sums_.bytes += unit.figures.bytes;
  count_tokens(unit);
  if (tokens > 0) add_shares(tokens);
  add_lenses(unit);
  add_features(unit);
  for (const std::int32_t id : distinct_) tokens_[static_cast<std::size_t>(id)].count = 0;
  if (++unflushed_ == kUnitsBeforeFlush) flush();
}

void Accumulator::count_tokens(const Unit& unit) {
  counts_ = {};
  distinct_.clear();
  constexpr std::size_t kAhead = 8;
  for (std::size_t i = 0; i < unit.ids.size(); ++i) {
    if (i + kAhead < unit.ids.size()) {
      const auto later = static_cast<std::size_t>(unit.ids[i + kAhead]);
      __builtin_prefetch(&tokens_[later], 1);
      __builtin_prefetch(&tables_.tokens[later]);
    }
    const std::int32_t id = unit.ids[i];
    if (tokens_[static_cast<std::size_t>(id)].count++ == 0) distinct_.push_back(id);
  }
  for (const std::int32_t id : distinct_) {
    TokenState& token = tokens_[static_cast<std::size_t>(id)];
    ++token.df;
    token.tf += token.count;
    if (!tables_.tokens[static_cast<std::size_t>(id)].seen) counts_.unseen += token.count;
    if (facts_.is_fallback(id)) counts_.fallback += token.count;
    if (facts_.is_special(id)) counts_.special += token.count;
  }
  for_each_text(unit, [this](std::span<const std::int32_t> ids) { count_ngrams(ids); });
  counts_.distinct_cells = static_cast<std::int64_t>(cells_.size());
  for (const std::uint32_t cell : cells_) {
    ++cell_df_[cell];
    cell_set_[cell / 64] = 0;
  }
  cells_.clear();
}

void Accumulator::count_ngrams(std::span<const std::int32_t> ids) {
  bigram_cells(tables_.bigram_key, ids, bigrams_);
  counts_.bigrams += std::ssize(bigrams_);
  for (const std::uint32_t cell : bigrams_) {
    const std::uint64_t bit = std::uint64_t{1} << (cell % 64);
    if ((cell_set_[cell / 64] & bit) == 0) cells_.push_back(cell);
    cell_set_[cell / 64] |= bit;
  }
  if (map_.filter.words.empty()) return;
  trigram_hashes(tables_.ngram_key, ids, trigrams_);
  std::erase_if(trigrams_,
                [this](std::uint64_t hash) { return !in_sample(hash, map_.filter.sample_bits); });
  counts_.trigrams += std::ssize(trigrams_);
  counts_.novel += count_missing(map_.filter, trigrams_);
}

void Accumulator::add_shares(std::int64_t tokens) {
  std::array<std::int64_t, kSketchSize> sketch{};
  std::array<std::int64_t, kGroups> shares{};
  for (const std::int32_t id : distinct_) {
    const MapTables::Entry& entry = tables_.tokens[static_cast<std::size_t>(id)];
    const std::int64_t count = tokens_[static_cast<std::size_t>(id)].count;
    sketch[entry.cell] += count * entry.weight;
    shares[entry.group] += count;
  }
  for (std::size_t i = 0; i < kSketchSize; ++i) {
    if (sketch[i] == 0) continue;
    sketch[i] = rounded(sketch[i], tokens);
    sums_.sketch_sum[i] += sketch[i];
  }
  for (std::size_t i = 0; i < kGroups; ++i) {
    if (shares[i] == 0) continue;
    shares[i] = rounded(shares[i] << kFixedBits, tokens);
    sums_.group_sum[i] += shares[i];
  }
  products_.add(sketch);
  group_products_.add(shares);
}

void Accumulator::add_lens(Lens lens, std::int64_t x, std::int64_t y, bool is_share) {
  if (y <= 0) return;
  LensState& state = sums_.lenses[static_cast<std::size_t>(lens)];
  ++state.units;
  state.x += x;
  state.y += y;
  state.xx += static_cast<Int128>(x) * x;
  state.xy += static_cast<Int128>(x) * y;
  state.yy += static_cast<Int128>(y) * y;
  const std::int64_t value = is_share ? rounded(x << kFixedBits, y) : x;
  if (value == 0) {
    ++state.zeros;
  } else {
    ++bins_[static_cast<std::size_t>(lens)]
           [static_cast<std::size_t>(log_key(static_cast<std::uint64_t>(value)))];
  }
}

void Accumulator::add_lenses(const Unit& unit) {
  const auto tokens = static_cast<std::int64_t>(unit.ids.size());
  const TextFigures& figures = unit.figures;
  const auto per_record = [&](Lens lens, std::int64_t x) {
    add_lens(lens, x, unit.records, false);
  };
  const auto share = [&](Lens lens, std::int64_t x, std::int64_t y) { add_lens(lens, x, y, true); };
  per_record(Lens::LengthTokens, tokens);
  share(Lens::UnseenTokens, counts_.unseen, tokens);
  share(Lens::FallbackTokens, counts_.fallback, tokens);
  per_record(Lens::SpecialTokens, counts_.special);
  share(Lens::DistinctTwo, counts_.distinct_cells, counts_.bigrams);
  share(Lens::Novelty, counts_.novel, counts_.trigrams);
  per_record(Lens::Empty, unit.empty_records);
  add_lens(Lens::Truncated, unit.truncated_records, unit.finished_records, false);
  add_lens(Lens::Refusal, unit.refusals, unit.judged_records, false);
  if (!unit.has_text) return;
  per_record(Lens::LengthBytes, figures.bytes);
  share(Lens::TokensPerByte, tokens, figures.bytes);
  per_record(Lens::TemplateMarkers, figures.markers);
  std::int64_t letters = 0;
  for (const std::int64_t count : figures.letters) letters += count;
  for (std::size_t i = 0; i < figures.letters.size(); ++i) {
    share(static_cast<Lens>(static_cast<std::size_t>(Lens::Latin) + i), figures.letters[i],
          letters);
  }
  share(Lens::Digits, figures.digits, figures.characters);
  share(Lens::Url, figures.url_bytes, figures.bytes);
  share(Lens::CodeFence, figures.code_bytes, figures.bytes);
}

void Accumulator::add_features(const Unit& unit) {
  for (std::size_t i = 0; i < unit.features.size(); ++i) {
    Feature& feature = sums_.features[i];
    switch (unit.features[i].kind) {
      case FeatureValue::Kind::Missing: ++feature.missing; continue;
      case FeatureValue::Kind::Other: ++feature.other; continue;
      case FeatureValue::Kind::Value: break;
    }
    ++feature.counts[unit.features[i].value];
    if (feature.counts.size() > kMaxFeatureValues) throw too_many_values(feature);
  }
}

void Accumulator::flush() {
  products_.move_to(sums_.sketch_products);
  group_products_.move_to(sums_.group_products);
  for (std::size_t cell = 0; cell < cell_df_.size(); ++cell)
    sums_.bigram_df[cell] += std::exchange(cell_df_[cell], 0);
  unflushed_ = 0;
}

Counts Accumulator::finish() {
  flush();
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    const TokenState& token = tokens_[id];
    if (token.df > 0)
      sums_.token_counts.push_back({static_cast<std::int32_t>(id), token.df, token.tf});
  }
  for (std::size_t lens = 0; lens < kLensCount; ++lens) {
    for (std::size_t key = 0; key < bins_[lens].size(); ++key) {
      if (bins_[lens][key] > 0) {
        sums_.lenses[lens].bins[static_cast<std::int32_t>(key)] = bins_[lens][key];
      }
    }
  }
  return std::move(sums_);
}

}  // namespace loraproof::drift
