// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/pack.h"

#include <algorithm>
#include <numeric>

#include "loraproof/core/error.h"

namespace loraproof::engine {

void Pack::add(std::span<const std::int32_t> tokens, std::int64_t start) {
  if (tokens.empty()) throw internal_error({.message = "an empty token sequence cannot be packed"});
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  starts.push_back(start);
  segments.lengths.push_back(static_cast<std::int64_t>(tokens.size()));
  segments.parents.push_back(-1);
}

void Pack::add_child(std::int64_t parent, std::span<const std::int32_t> tokens) {
  const auto index = static_cast<std::size_t>(parent);
  add(tokens, starts[index] + segments.lengths[index]);
  segments.parents.back() = parent;
}

namespace {

using Tokens = std::vector<std::int32_t>;

// A segment costs an attention call of its own and copies of the keys before it: a prefix is shared
// where that saves at least so many tokens.
constexpr std::size_t kLeastSaved = 16;

std::size_t common_prefix(const Tokens& a, const Tokens& b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// Lays sequences that stand in lexicographic order down as a tree of segments.
class TreePacker {
 public:
  TreePacker(std::span<const Tokens> sequences, std::size_t pack_index, Pack& pack,
             std::vector<Placement>& placements)
      : sequences_(sequences), pack_index_(pack_index), pack_(pack), placements_(placements) {}

  // `group` are indices of sequences that agree in their first `depth` tokens, which segment
  // `parent` and those before it hold, at `rows`.
  void lay(std::span<const std::size_t> group, std::size_t depth, std::int64_t parent,
           std::vector<std::int64_t> rows) {
    // In sorted order the first and the last agree in what all agree in.
    const Tokens& first = sequences_[group.front()];
    const std::size_t common = common_prefix(first, sequences_[group.back()]);
    const bool alone = group.size() == 1;
    if (alone || (common > depth && (group.size() - 1) * (common - depth) >= kLeastSaved)) {
      if (common > depth) {
        parent = add_segment({first.data() + depth, common - depth}, parent, rows);
        depth = common;
      }
    }
    std::size_t begin = 0;
    // What ends here comes first in the order.
    for (; begin < group.size() && sequences_[group[begin]].size() == common; ++begin)
      finish(group[begin], depth, parent, rows);
    std::vector<std::span<const std::size_t>> branches;
    while (begin < group.size()) {
      std::size_t end = begin + 1;
      const auto branch = [&](std::size_t i) { return sequences_[group[i]][common]; };
      while (end < group.size() && branch(end) == branch(begin)) ++end;
      branches.push_back(group.subspan(begin, end - begin));
      begin = end;
    }
    // In the order given, so that sequences that share nothing lie as they would without sharing.
    std::ranges::sort(branches, {}, [](auto branch) { return *std::ranges::min_element(branch); });
    for (const auto branch : branches) lay(branch, depth, parent, rows);
  }

 private:
  std::int64_t add_segment(std::span<const std::int32_t> tokens, std::int64_t parent,
                           std::vector<std::int64_t>& rows) {
    const std::int64_t first_row = pack_.num_tokens();
    for (std::size_t i = 0; i < tokens.size(); ++i)
      rows.push_back(first_row + static_cast<std::int64_t>(i));
    if (parent < 0) {
      pack_.add(tokens);
    } else {
      pack_.add_child(parent, tokens);
    }
    return static_cast<std::int64_t>(pack_.num_segments()) - 1;
  }

  void finish(std::size_t index, std::size_t depth, std::int64_t parent,
              std::vector<std::int64_t> rows) {
    const Tokens& tokens = sequences_[index];
    if (depth < tokens.size())
      add_segment({tokens.data() + depth, tokens.size() - depth}, parent, rows);
    placements_[index] = {.pack = pack_index_, .rows = std::move(rows)};
  }

  std::span<const Tokens> sequences_;
  std::size_t pack_index_;
  Pack& pack_;
  std::vector<Placement>& placements_;
};

// Sequences longer than this have rotary frequencies of their own.
bool shares(const Tokens& tokens, const nn::RopeConfig& rope) {
  return rope.kind != nn::RopeConfig::Kind::Dynamic ||
         static_cast<std::int64_t>(tokens.size()) <= rope.max_positions;
}

}  // namespace

PackedSequences pack_sequences(std::span<const Tokens> sequences, const nn::RopeConfig& rope,
                               const Packing& packing) {
  std::vector<std::size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto sharing = [&](std::size_t i) {
    return packing.share_prefixes && shares(sequences[i], rope);
  };
  if (packing.share_prefixes) {
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
      if (sharing(a) != sharing(b)) return sharing(a);
      return sharing(a) && sequences[a] < sequences[b];
    });
  }

  PackedSequences packed;
  packed.placements.resize(sequences.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin, shared_end = begin;
    std::int64_t tokens = 0;
    for (; end < order.size(); ++end) {
      const Tokens& next = sequences[order[end]];
      if (next.empty()) throw internal_error({.message = "an empty token sequence to pack"});
      std::size_t fresh = next.size();
      if (end > begin && sharing(order[end]))
        fresh -= common_prefix(next, sequences[order[end - 1]]);
      tokens += static_cast<std::int64_t>(fresh);
      if (end > begin && tokens > packing.max_tokens) break;
      if (sharing(order[end])) shared_end = end + 1;
    }
    const std::size_t index = packed.packs.size();
    TreePacker packer(sequences, index, packed.packs.emplace_back(), packed.placements);
    const std::span<const std::size_t> group(order);
    if (shared_end > begin) packer.lay(group.subspan(begin, shared_end - begin), 0, -1, {});
    for (std::size_t i = shared_end; i < end; ++i) packer.lay(group.subspan(i, 1), 0, -1, {});
    begin = end;
  }
  return packed;
}

}  // namespace loraproof::engine
