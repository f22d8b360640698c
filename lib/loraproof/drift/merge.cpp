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

template <typename Numbers>
void subtract_all(Numbers& from, const Numbers& part) {
  for (std::size_t i = 0; i < from.size(); ++i) from[i] -= part[i];
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

void take_away_lens(LensState& from, const LensState& part) {
  from.units -= part.units;
  from.x -= part.x;
  from.y -= part.y;
  from.xx -= part.xx;
  from.xy -= part.xy;
  from.yy -= part.yy;
  from.zeros -= part.zeros;
  for (const auto& [key, count] : part.bins) from.bins[key] -= count;
  std::erase_if(from.bins, [](const auto& bin) { return bin.second == 0; });
}

void take_away_feature(Feature& from, const Feature& part) {
  for (const auto& [value, count] : part.counts) from.counts[value] -= count;
  std::erase_if(from.counts, [](const auto& value) { return value.second == 0; });
  from.other -= part.other;
  from.missing -= part.missing;
}

void take_away_tokens(std::vector<TokenCount>& from, const std::vector<TokenCount>& part) {
  auto at = from.begin();
  for (const TokenCount& token : part) {
    at = std::lower_bound(at, from.end(), token.id,
                          [](const TokenCount& a, std::int32_t id) { return a.id < id; });
    at->df -= token.df;
    at->tf -= token.tf;
  }
  std::erase_if(from, [](const TokenCount& token) { return token.df == 0; });
}

void add_segments(Profile& into, const Profile& other) {
  for (const Segment& segment : other.segments) {
    const auto at = std::ranges::lower_bound(into.segments, segment.value, {}, &Segment::value);
    if (at != into.segments.end() && at->value == segment.value) {
      add_counts(at->counts, segment.counts);
    } else {
      into.segments.insert(at, segment);
    }
  }
  if (into.segments.size() > kMaxSegments) throw too_many_segments(into.segmented_by);
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
  if (into.segmented_by != other.segmented_by) {
    throw input_error({.message = "these profiles don't belong together: their segments differ",
                       .expected = into.segmented_by,
                       .found = other.segmented_by,
                       .hint = "pass the same --by"});
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

bool same_features(const Counts& a, const Counts& b) {
  return std::equal(a.features.begin(), a.features.end(), b.features.begin(), b.features.end(),
                    [](const Feature& x, const Feature& y) { return x.name == y.name; });
}

void add_counts(Counts& into, const Counts& other) {
  into.units += other.units;
  into.empty_units += other.empty_units;
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
}

void take_away(Counts& from, const Counts& part) {
  from.units -= part.units;
  from.empty_units -= part.empty_units;
  from.records -= part.records;
  from.tokens -= part.tokens;
  from.bytes -= part.bytes;
  take_away_tokens(from.token_counts, part.token_counts);
  subtract_all(from.bigram_df, part.bigram_df);
  subtract_all(from.sketch_sum, part.sketch_sum);
  subtract_all(from.sketch_products, part.sketch_products);
  subtract_all(from.group_sum, part.group_sum);
  subtract_all(from.group_products, part.group_products);
  for (std::size_t i = 0; i < kLensCount; ++i) take_away_lens(from.lenses[i], part.lenses[i]);
  for (std::size_t i = 0; i < from.features.size(); ++i) {
    take_away_feature(from.features[i], part.features[i]);
  }
}

void merge(Profile& into, const Profile& other) {
  refuse_merge(into, other);
  if (std::max(into.units + other.units, into.tokens + other.tokens) > kMaxCount) {
    throw input_error({.message = "the sum would be too large for this format"});
  }
  add_counts(into, other);
  add_segments(into, other);
  into.held_out += other.held_out;
  for (std::size_t i = 0; i < kMalformedKinds; ++i) {
    add_malformed(into.malformed[i], other.malformed[i]);
  }
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

Error too_many_segments(const std::string& field) {
  return input_error({.message = "this field cuts the log into too many segments",
                      .where = "--by " + field,
                      .expected = fmt::format("at most {}", kMaxSegments),
                      .hint = "choose a field with few values, or group them before profiling"});
}

}  // namespace loraproof::drift
