// SPDX-License-Identifier: Apache-2.0
// Adding profiles up, and leaving out of one what must not be shared.
#pragma once

#include <string>

#include "loraproof/core/error.h"
#include "loraproof/drift/hash.h"
#include "loraproof/drift/profile.h"

namespace loraproof::drift {

/// Adds `other` to `into`. Associative and commutative to the byte. Input Error when the
/// fingerprints differ (it says in what), when a part is in both, when one is sealed, when their
/// features or the field of their segments differ, or when a feature gets more than
/// kMaxFeatureValues values or the segments more than kMaxSegments.
void merge(Profile& into, const Profile& other);

/// "the tokenizer differs" and the like, naming the first difference in the order tokenizer, key,
/// settings, map; "" when there is none. For compare as well.
[[nodiscard]] std::string difference(const Fingerprint& a, const Fingerprint& b);

/// The same features in the same order. For compare as well.
[[nodiscard]] bool same_features(const Counts& a, const Counts& b);

/// Seals are not looked at: for counts of one run.
void add_counts(Counts& into, const Counts& other);
/// The opposite: `part` must have been added to `from`.
void take_away(Counts& from, const Counts& part);

[[nodiscard]] Error too_many_values(const Feature& feature);
[[nodiscard]] Error too_many_segments(const std::string& field);

struct SealOptions {
  std::int64_t min_prompts = 10;  ///< tokens, bigram cells and feature values in fewer units fold
};
/// Sealing a profile of fewer units is refused.
inline constexpr std::int64_t kMinSealedUnits = 50;

/// A copy that may be shared: rare tokens folded into keyed buckets, rare bigram cells and feature
/// values gone, no segments of fewer than kMinSealedUnits units, no parts, no line numbers, of the
/// map nothing but its header. Input Error for a
/// profile that is sealed, has fewer than kMinSealedUnits units or was made with another key; usage
/// Error for min_prompts < 2.
[[nodiscard]] Profile seal(Profile profile, const Key& key, const SealOptions& options);

}  // namespace loraproof::drift
