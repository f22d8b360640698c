// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/tables.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "loraproof/drift/wire.h"

namespace loraproof::drift {
namespace {

constexpr std::int64_t kInverseFloor = 10'000;  // 1 / 1e-4, the smallest pi that counts
constexpr std::size_t kBitsPerNgram = 10;       // with 7 probes: 0.8 % false positives
constexpr int kProbes = 7;

std::uint64_t integer_root(Unsigned128 value) {
  auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(value)));
  while (static_cast<Unsigned128>(root) * root > value) --root;
  while (static_cast<Unsigned128>(root + 1) * (root + 1) <= value) ++root;
  return root;
}

// floor(groups * part / whole + 1/2), kept between 1 and groups - 1.
std::size_t share_of_groups(std::size_t groups, std::int64_t part, std::int64_t whole) {
  if (whole == 0) return groups / 2;
  const Unsigned128 twice = Unsigned128{2} * groups * static_cast<std::uint64_t>(part) +
                            static_cast<std::uint64_t>(whole);
  const auto rounded =
      static_cast<std::size_t>(twice / (Unsigned128{2} * static_cast<std::uint64_t>(whole)));
  return std::clamp(rounded, std::size_t{1}, groups - 1);
}

// Frequent tokens alone, the most frequent first (ties: the smaller id); two groups at least are
// left for the rest.
std::vector<MapToken> head_tokens(const Map& map) {
  std::vector<MapToken> head;
  for (const MapToken& token : map.tokens) {
    if (static_cast<Unsigned128>(token.tf) * kGroups >= static_cast<Unsigned128>(map.token_total)) {
      head.push_back(token);
    }
  }
  std::sort(head.begin(), head.end(), [](const MapToken& a, const MapToken& b) {
    return a.tf != b.tf ? a.tf > b.tf : a.id < b.id;
  });
  if (head.size() > kGroups - 2) head.resize(kGroups - 2);
  return head;
}

// The bits of one hash, (first + i * step) mod bits for i = 0, 1, ...: two divisions for all of
// them (the sum stays below 2^51). The low bits of a sampled hash are zero, so the positions come
// from the others.
class Probe {
 public:
  Probe() = default;
  Probe(std::uint64_t hash, std::uint64_t bits)
      : bits_(bits),
        at_((hash >> 16) % bits),
        step_(((hash * 0x9E3779B97F4A7C15U) >> 16 | 1) % bits) {}
  [[nodiscard]] std::uint64_t at() const { return at_; }
  void next() {
    at_ += step_;
    at_ -= at_ >= bits_ ? bits_ : 0;
  }

 private:
  std::uint64_t bits_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t step_ = 0;
};

bool has_all(const NgramFilter& filter, Probe probe) {
  for (int i = 0; i < kProbes; ++i, probe.next()) {
    if ((filter.words[probe.at() / 64] >> (probe.at() % 64) & 1) == 0) return false;
  }
  return true;
}

}  // namespace

std::int32_t sketch_weight(std::int64_t tf, std::int64_t total) {
  if (total <= 0) return static_cast<std::int32_t>(kMaxWeight);
  // weight^2 = 2^32 / max(tf / total, 1 / kInverseFloor)
  const Unsigned128 denominator =
      std::max(static_cast<Unsigned128>(tf) * kInverseFloor, static_cast<Unsigned128>(total));
  const Unsigned128 numerator = (static_cast<Unsigned128>(total) * kInverseFloor)
                                << (2 * kFixedBits);
  return static_cast<std::int32_t>(integer_root(numerator / denominator));
}

MapTables::MapTables(const Map& map, const Key& key, std::int32_t id_limit)
    : bigram_key(key.derive("bigram")), ngram_key(key.derive("ngram")) {
  const auto size = static_cast<std::size_t>(id_limit);
  std::vector<std::int64_t> tf(size), df(size);
  for (const MapToken& token : map.tokens) {
    if (token.id >= id_limit) continue;  // the map's digest was checked, so this can't be
    tf[static_cast<std::size_t>(token.id)] = token.tf;
    df[static_cast<std::size_t>(token.id)] = token.df;
  }
  tokens.resize(size);
  const SipKey sketch_key = key.derive("sketch");
  const SipKey group_key = key.derive("group");
  const std::vector<MapToken> head = head_tokens(map);
  std::int64_t rest = map.token_total;
  std::int64_t rare = 0;
  for (const MapToken& token : map.tokens) rare += token.df < kRareDf ? token.tf : 0;
  for (const MapToken& token : head) {
    rest -= token.tf;
    rare -= token.df < kRareDf ? token.tf : 0;
  }
  head_groups = head.size();
  rare_groups = share_of_groups(kGroups - head_groups, rare, rest);
  common_groups = kGroups - head_groups - rare_groups;
  for (std::size_t id = 0; id < size; ++id) {
    const std::uint64_t hash = siphash_word(sketch_key, id);
    const std::int32_t w = sketch_weight(tf[id], map.token_total);
    const std::uint64_t place = siphash_word(group_key, id);
    const std::uint64_t group = df[id] < kRareDf ? head_groups + common_groups + place % rare_groups
                                                 : head_groups + place % common_groups;
    tokens[id] = {.weight = (hash >> 8 & 1) != 0 ? -w : w,
                  .cell = static_cast<std::uint8_t>(hash & 0xFF),
                  .group = static_cast<std::uint8_t>(group),
                  .seen = tf[id] > 0};
  }
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head[i].id < id_limit)
      tokens[static_cast<std::size_t>(head[i].id)].group = static_cast<std::uint8_t>(i);
  }
}

NgramFilter make_filter(const std::vector<std::uint64_t>& hashes, std::int32_t sample_bits) {
  NgramFilter filter{.sample_bits = sample_bits,
                     .ngrams = static_cast<std::int64_t>(hashes.size())};
  filter.words.assign((hashes.size() * kBitsPerNgram + 63) / 64, 0);
  const std::uint64_t bits = filter.words.size() * 64;
  for (const std::uint64_t hash : hashes) {
    Probe probe(hash, bits);
    for (int i = 0; i < kProbes; ++i, probe.next())
      filter.words[probe.at() / 64] |= std::uint64_t{1} << (probe.at() % 64);
  }
  return filter;
}

std::int64_t count_missing(const NgramFilter& filter, std::span<const std::uint64_t> hashes) {
  // The words of some hashes are asked for before the first one is looked at.
  constexpr std::size_t kAhead = 8;
  const std::uint64_t bits = filter.words.size() * 64;
  std::array<Probe, kAhead> probes;
  std::int64_t missing = 0;
  while (!hashes.empty()) {
    const std::size_t count = std::min(hashes.size(), kAhead);
    for (std::size_t i = 0; i < count; ++i) {
      probes[i] = Probe(hashes[i], bits);
      Probe probe = probes[i];
      for (int bit = 0; bit < kProbes; ++bit, probe.next())
        __builtin_prefetch(filter.words.data() + probe.at() / 64);
    }
    for (std::size_t i = 0; i < count; ++i) missing += has_all(filter, probes[i]) ? 0 : 1;
    hashes = hashes.subspan(count);
  }
  return missing;
}

}  // namespace loraproof::drift
