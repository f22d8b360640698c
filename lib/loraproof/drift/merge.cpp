// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/merge.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace loraproof::drift {
namespace {

template <typename Numbers>
void add_all(Numbers& into, const Numbers& other) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] += other[i];
}

std::vector<TokenCount> sum_of(const std::vector<TokenCount>& a, const std::vector<TokenCount>& b) {
  std::vector<TokenCount> out;
  out.reserve(std::max(a.size(), b.size()));
  auto left = a.begin();
  auto right = b.begin();
  while (left != a.end() || right != b.end()) {
    if (right == b.end() || (left != a.end() && left->id < right->id)) {
      out.push_back(*left++);
    } else if (left == a.end() || right->id < left->id) {
      out.push_back(*right++);
    } else {
      out.push_back({left->id, left->df + right->df, left->tf + right->tf});
      ++left, ++right;
    }
  }
  return out;
}

void add_lens(LensState& into, const LensState& other) {
  into.units += other.units;
  into.x += other.x;
  into.y += other.y;
  into.xx += other.xx;
  into.xy += other.xy;
  into.yy += other.yy;
  into.zeros += other.zeros;
  for (const auto& [key, count] : other.bins) into.bins[key] += count;
}

void add_feature(Feature& into, const Feature& other) {
  for (const auto& [value, count] : other.counts) into.counts[value] += count;
  into.other += other.other;
  into.missing += other.missing;
  if (into.counts.size() > kMaxFeatureValues) throw too_many_values(into);
}

void add_malformed(MalformedLines& into, const MalformedLines& other) {
  into.count += other.count;
  into.first.insert(into.first.end(), other.first.begin(), other.first.end());
  std::sort(into.first.begin(), into.first.end());
  if (into.first.size() > kFirstLines) into.first.resize(kFirstLines);
}

void refuse_merge(const Profile& into, const Profile& other) {
  if (into.seal || other.seal) {
    throw input_error({.message = "a sealed profile can't be merged",
                       .hint = "merge the parts first, then seal"});
  }
  if (const std::string what = difference(into.fingerprint, other.fingerprint); !what.empty()) {
    throw input_error({.message = "these profiles don't belong together: " + what,
                       .hint = "make all parts with the same tokenizer, map, key and options"});
  }
  if (!same_features(into, other)) {
    throw input_error({.message = "these profiles don't belong together: their features differ",
                       .hint = "pass the same --feature options in the same order"});
  }
  std::vector<std::string> both;
  std::set_intersection(into.parts.begin(), into.parts.end(), other.parts.begin(),
                        other.parts.end(), std::back_inserter(both));
  if (!both.empty()) {
    throw input_error({.message = "a part would be counted twice",
                       .found = "part " + both.front(),
                       .hint = "each part may be merged once; with --part two equal inputs get "
                               "different names"});
  }
}

}  // namespace

std::string difference(const Fingerprint& a, const Fingerprint& b) {
  const auto both = [](const std::string& x, const std::string& y) {
    return fmt::format(" ({} and {})", x.substr(0, 40), y.substr(0, 40));
  };
  const auto digests = [&](const std::string& x, const std::string& y) {
    return both(x.substr(0, 19), y.substr(0, 19));
  };
  if (a.tokenizer != b.tokenizer)
    return "the tokenizer differs" + digests(a.tokenizer, b.tokenizer);
  if (a.key_id != b.key_id) return "the key differs" + both(a.key_id, b.key_id);
  if (a.settings != b.settings) return "the settings differ" + both(a.settings, b.settings);
  if (a.map != b.map) return "the map differs" + digests(a.map, b.map);
  return "";
}

bool same_features(const Profile& a, const Profile& b) {
  return std::equal(a.features.begin(), a.features.end(), b.features.begin(), b.features.end(),
                    [](const Feature& x, const Feature& y) { return x.name == y.name; });
}

void add_counts(Profile& into, const Profile& other) {
  into.units += other.units;
  into.empty_units += other.empty_units;
  into.held_out += other.held_out;
  into.records += other.records;
  into.tokens += other.tokens;
  into.bytes += other.bytes;
  into.token_counts = sum_of(into.token_counts, other.token_counts);
  add_all(into.bigram_df, other.bigram_df);
  add_all(into.sketch_sum, other.sketch_sum);
  add_all(into.sketch_products, other.sketch_products);
  add_all(into.group_sum, other.group_sum);
  add_all(into.group_products, other.group_products);
  for (std::size_t i = 0; i < kLensCount; ++i) add_lens(into.lenses[i], other.lenses[i]);
  for (std::size_t i = 0; i < into.features.size(); ++i) {
    add_feature(into.features[i], other.features[i]);
  }
  for (std::size_t i = 0; i < kMalformedKinds; ++i) {
    add_malformed(into.malformed[i], other.malformed[i]);
  }
}

void merge(Profile& into, const Profile& other) {
  refuse_merge(into, other);
  if (std::max(into.units + other.units, into.tokens + other.tokens) > kMaxCount) {
    throw input_error({.message = "the sum would be too large for this format"});
  }
  add_counts(into, other);
  std::vector<std::string> parts;
  std::merge(into.parts.begin(), into.parts.end(), other.parts.begin(), other.parts.end(),
             std::back_inserter(parts));
  into.parts = std::move(parts);
}

Error too_many_values(const Feature& feature) {
  return input_error({.message = "this field is no category: it has too many distinct values",
                      .where = "--feature " + feature.name,
                      .expected = fmt::format("at most {}", kMaxFeatureValues),
                      .hint = "choose a field with few values, or group them before profiling"});
}

}  // namespace loraproof::drift
