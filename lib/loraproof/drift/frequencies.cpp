// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/frequencies.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <utility>

namespace loraproof::drift {
namespace {

struct Count {
  std::int32_t id = 0;
  std::int64_t count = 0;
};

std::vector<Count> document_counts(const Counts& side) {
  std::vector<Count> counts;
  counts.reserve(side.token_counts.size());
  for (const TokenCount& token : side.token_counts) counts.push_back({token.id, token.df});
  return counts;
}

std::vector<Count> cell_counts(const Counts& side) {
  std::vector<Count> counts;
  for (std::size_t cell = 0; cell < side.bigram_df.size(); ++cell) {
    if (side.bigram_df[cell] > 0)
      counts.push_back({static_cast<std::int32_t>(cell), side.bigram_df[cell]});
  }
  return counts;
}

std::int64_t hidden_below(const Counts& side) { return side.seal ? side.seal->min_prompts : 1; }

// What stands for a count that `side` doesn't list.
std::int64_t unlisted(const Counts& side, const Counts& other, std::int64_t count) {
  if (!side.seal || other.units == 0) return 0;
  const double expected = static_cast<double>(count) * static_cast<double>(side.units) /
                          static_cast<double>(other.units);
  const std::int64_t most = std::min(hidden_below(side) - 1, side.units);
  return static_cast<std::int64_t>(
      std::llround(std::clamp(expected, 0.0, static_cast<double>(most))));
}

PairedCounts paired(const std::vector<Count>& first, const std::vector<Count>& second,
                    const Counts& reference, const Counts& window) {
  PairedCounts pairs;
  std::size_t i = 0, j = 0;
  const auto add = [&](std::int32_t id, std::int64_t a, std::int64_t b) {
    pairs.ids.push_back(id);
    pairs.reference.push_back(a);
    pairs.window.push_back(b);
  };
  while (i < first.size() || j < second.size()) {
    if (j == second.size() || (i < first.size() && first[i].id < second[j].id)) {
      add(first[i].id, first[i].count, unlisted(window, reference, first[i].count));
      ++i;
    } else if (i == first.size() || second[j].id < first[i].id) {
      add(second[j].id, unlisted(reference, window, second[j].count), second[j].count);
      ++j;
    } else {
      add(first[i].id, first[i].count, second[j].count);
      ++i;
      ++j;
    }
  }
  return pairs;
}

Moments moments_of(std::span<const Int128> sum, std::span<const Int128> triangle, std::int64_t n) {
  const std::size_t size = sum.size();
  Moments moments{
      .sum = std::vector<double>(size), .cross = std::vector<double>(size * size), .n = n};
  for (std::size_t row = 0; row < size; ++row) {
    moments.sum[row] = std::ldexp(static_cast<double>(sum[row]), -kFixedBits);
    for (std::size_t column = row; column < size; ++column) {
      const double product = std::ldexp(
          static_cast<double>(triangle[triangle_at(row, column, size)]), -2 * kFixedBits);
      moments.cross[row * size + column] = product;
      moments.cross[column * size + row] = product;
    }
  }
  return moments;
}

}  // namespace

PairedCounts token_frequencies(const Counts& reference, const Counts& window) {
  return paired(document_counts(reference), document_counts(window), reference, window);
}

PairedCounts bigram_frequencies(const Counts& reference, const Counts& window) {
  return paired(cell_counts(reference), cell_counts(window), reference, window);
}

PairedCounts token_occurrences(const Counts& reference, const Counts& window) {
  const auto occurrences = [](const Counts& side) {
    std::vector<Count> counts;
    for (const TokenCount& token : side.token_counts) counts.push_back({token.id, token.tf});
    return counts;
  };
  return paired(occurrences(reference), occurrences(window), reference, window);
}

PairedValues feature_values(const Feature& reference, const Feature& window, bool sealed) {
  PairedValues pairs;
  std::set<std::string> values;
  for (const auto& [value, count] : reference.counts) values.insert(value);
  for (const auto& [value, count] : window.counts) values.insert(value);
  std::int64_t other_reference = reference.other, other_window = window.other;
  const auto at = [](const Feature& feature, const std::string& value) {
    const auto found = feature.counts.find(value);
    return found == feature.counts.end() ? std::int64_t{0} : found->second;
  };
  for (const std::string& value : values) {
    const std::int64_t a = at(reference, value), b = at(window, value);
    if (sealed && (a == 0 || b == 0)) {
      other_reference += a;
      other_window += b;
      continue;
    }
    pairs.values.push_back(value);
    pairs.reference.push_back(a);
    pairs.window.push_back(b);
  }
  const auto add = [&](const char* name, std::int64_t a, std::int64_t b) {
    if (a + b == 0) return;
    pairs.values.emplace_back(name);
    pairs.reference.push_back(a);
    pairs.window.push_back(b);
  };
  add("(other)", other_reference, other_window);
  add("(missing)", reference.missing, window.missing);
  return pairs;
}

Moments sketch_moments(const Counts& side) {
  return moments_of(side.sketch_sum, side.sketch_products, side.units - side.empty_units);
}

Moments group_moments(const Counts& side) {
  return moments_of(side.group_sum, side.group_products, side.units - side.empty_units);
}

}  // namespace loraproof::drift
