// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/merge.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace loraproof::drift {
namespace {

// Everything below adds with a sign: +1, or -1 for what was added before.

template <typename Numbers>
void add_all(Numbers& into, const Numbers& other, int sign) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] += sign * other[i];
}

template <typename Map>
void add_map(Map& into, const Map& other, int sign) {
  for (const auto& [key, count] : other) into[key] += sign * count;
  if (sign < 0) std::erase_if(into, [](const auto& item) { return item.second == 0; });
}

std::vector<TokenCount> sum_of(const std::vector<TokenCount>& a, const std::vector<TokenCount>& b,
                               int sign) {
  std::vector<TokenCount> out;
  out.reserve(std::max(a.size(), b.size()));
  auto left = a.begin();
  auto right = b.begin();
  while (left != a.end() || right != b.end()) {
    if (right == b.end() || (left != a.end() && left->id < right->id)) {
      out.push_back(*left++);
      continue;
    }
    TokenCount sum{.id = right->id, .df = sign * right->df, .tf = sign * right->tf};
    if (left != a.end() && left->id == right->id) {
      sum.df += left->df;
      sum.tf += left->tf;
      ++left;
    }
    ++right;
    if (sum.df != 0) out.push_back(sum);
  }
  return out;
}

void add_lens(LensState& into, const LensState& other, int sign) {
  into.units += sign * other.units;
  into.x += sign * other.x;
  into.y += sign * other.y;
  into.xx += sign * other.xx;
  into.xy += sign * other.xy;
  into.yy += sign * other.yy;
  into.zeros += sign * other.zeros;
  add_map(into.bins, other.bins, sign);
}

void add_feature(Feature& into, const Feature& other, int sign) {
  add_map(into.counts, other.counts, sign);
  into.other += sign * other.other;
  into.missing += sign * other.missing;
  if (into.counts.size() > kMaxFeatureValues) throw too_many_values(into);
}

void add_signed(Counts& into, const Counts& other, int sign) {
  into.units += sign * other.units;
  into.empty_units += sign * other.empty_units;
  into.records += sign * other.records;
  into.tokens += sign * other.tokens;
  into.bytes += sign * other.bytes;
  into.token_counts = sum_of(into.token_counts, other.token_counts, sign);
  add_all(into.bigram_df, other.bigram_df, sign);
  add_all(into.sketch_sum, other.sketch_sum, sign);
  add_all(into.sketch_products, other.sketch_products, sign);
  add_all(into.group_sum, other.group_sum, sign);
  add_all(into.group_products, other.group_products, sign);
  for (std::size_t i = 0; i < kLensCount; ++i) add_lens(into.lenses[i], other.lenses[i], sign);
  for (std::size_t i = 0; i < into.features.size(); ++i) {
    add_feature(into.features[i], other.features[i], sign);
  }
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

void add_counts(Counts& into, const Counts& other) { add_signed(into, other, 1); }

void take_away(Counts& from, const Counts& part) { add_signed(from, part, -1); }

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
