// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/map_builder.h"

#include <algorithm>

#include "loraproof/drift/tables.h"

namespace loraproof::drift {

void HashSample::add(const HashSample& other) {
  while (bits_ < other.bits_) {
    ++bits_;
    mask_ = (std::uint64_t{1} << bits_) - 1;
  }
  for (const std::uint64_t hash : other.values_) add(hash);
}

void HashSample::shrink() {
  while (true) {
    std::erase_if(values_, [this](std::uint64_t hash) { return (hash & mask_) != 0; });
    std::sort(values_.begin(), values_.end());
    values_.erase(std::unique(values_.begin(), values_.end()), values_.end());
    if (values_.size() <= kCapacity) return;
    ++bits_;
    mask_ = (std::uint64_t{1} << bits_) - 1;
  }
}

MapBuilder::MapBuilder(const Key& key, std::int32_t id_limit)
    : ngram_key_(key.derive("ngram")),
      df_(static_cast<std::size_t>(id_limit)),
      tf_(static_cast<std::size_t>(id_limit)),
      last_unit_(static_cast<std::size_t>(id_limit)) {}

void MapBuilder::add(const Unit& unit) {
  ++seen_;
  ++units_;
  tokens_ += static_cast<std::int64_t>(unit.ids.size());
  for (const std::int32_t id : unit.ids) {
    const auto at = static_cast<std::size_t>(id);
    ++tf_[at];
    df_[at] += last_unit_[at] != units_ ? 1 : 0;
    last_unit_[at] = units_;
  }
  for_each_text(unit, [this](std::span<const std::int32_t> ids) {
    for (std::size_t i = 0; i + 2 < ids.size(); ++i) {
      ngrams_.add(trigram_hash(ngram_key_, ids.data() + i));
    }
  });
}

void MapBuilder::add(const MapBuilder& other) {
  for (std::size_t id = 0; id < df_.size(); ++id) {
    df_[id] += other.df_[id];
    tf_[id] += other.tf_[id];
  }
  units_ += other.units_;
  seen_ += other.seen_;
  tokens_ += other.tokens_;
  ngrams_.add(other.ngrams_);
}

Map MapBuilder::finish(Map header) {
  header.units = units_;
  header.seen = seen_;
  header.token_total = tokens_;
  header.tokens.clear();
  for (std::size_t id = 0; id < df_.size(); ++id) {
    if (tf_[id] > 0) header.tokens.push_back({static_cast<std::int32_t>(id), df_[id], tf_[id]});
  }
  ngrams_.shrink();
  header.filter = make_filter(ngrams_.values(), ngrams_.bits());
  return header;
}

}  // namespace loraproof::drift
