// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <utility>

#include "loraproof/drift/hash.h"
#include "loraproof/drift/merge.h"

namespace loraproof::drift {
namespace {

void check(const Profile& profile, const Key& key, const SealOptions& options) {
  if (options.min_prompts < 2) {
    throw usage_error({.message = "a token of a single prompt would be shown",
                       .where = "--min-prompts",
                       .expected = "2 or more",
                       .found = std::to_string(options.min_prompts)});
  }
  if (profile.seal) throw input_error({.message = "the profile is sealed already"});
  if (profile.units < kMinSealedUnits) {
    throw input_error({.message = "too few prompts to seal: sums of so few show single ones",
                       .expected = fmt::format("{} or more", kMinSealedUnits),
                       .found = std::to_string(profile.units),
                       .hint = "merge more parts first"});
  }
  if (key.id() != profile.fingerprint.key_id) {
    throw input_error({.message = "the profile was made with another key",
                       .expected = profile.fingerprint.key_id,
                       .found = key.id(),
                       .hint = "pass the same --key"});
  }
}

// The buckets say how much was folded, so that shares still add up.
std::size_t bucket_of(std::int32_t id, const SipKey& key) {
  return static_cast<std::size_t>(siphash_word(key, static_cast<std::uint32_t>(id)) % kSealBuckets);
}

void seal_counts(Counts& counts, const Key& key, const SealOptions& options) {
  Seal result{.min_prompts = options.min_prompts};
  result.buckets.resize(kSealBuckets);
  const SipKey bucket_key = key.derive("seal");
  std::vector<TokenCount> kept;
  for (const TokenCount& token : counts.token_counts) {
    if (token.df >= options.min_prompts) {
      kept.push_back(token);
      continue;
    }
    Seal::Bucket& bucket = result.buckets[bucket_of(token.id, bucket_key)];
    ++bucket.tokens;
    bucket.df += token.df;
    bucket.tf += token.tf;
  }
  counts.token_counts = std::move(kept);
  for (std::int64_t& df : counts.bigram_df) {
    if (df < options.min_prompts) df = 0;
  }
  for (Feature& feature : counts.features) {
    std::erase_if(feature.counts, [&](const auto& item) {
      if (item.second >= options.min_prompts) return false;
      feature.other += item.second;
      return true;
    });
  }
  counts.seal = std::move(result);
}

}  // namespace

Profile seal(Profile profile, const Key& key, const SealOptions& options) {
  check(profile, key, options);
  seal_counts(profile, key, options);
  std::erase_if(profile.segments,
                [](const Segment& segment) { return segment.counts.units < kMinSealedUnits; });
  for (Segment& segment : profile.segments) seal_counts(segment.counts, key, options);
  for (MalformedLines& lines : profile.malformed) lines.first.clear();
  profile.parts.clear();
  profile.map.tokens.clear();
  profile.map.filter = {};
  return profile;
}

}  // namespace loraproof::drift
