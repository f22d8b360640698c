// SPDX-License-Identifier: Apache-2.0
// What `drift` keeps of a stream of prompts (or outputs): sums of integers and nothing else, so
// that any order of merging gives the same bytes. The unit is the prompt, or with --cluster the
// session. Reading is in record.h and batch.h, filling in accumulator.h, merging in merge.h, files
// in profile_file.h. Statistics are not here: they read this struct.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/drift/map.h"

namespace loraproof::drift {

// NOLINTNEXTLINE: GCC and Clang have it on every platform we build for.
__extension__ typedef __int128 Int128;

/// Fractional bits of a fixed-point quantity; sums of products of two of them have twice as many.
inline constexpr int kFixedBits = 16;
inline constexpr std::size_t kSketchSize = 256;
inline constexpr std::size_t kBigramCells = std::size_t{1} << 16;

/// Entries of the upper triangle, diagonal included, of a size × size matrix, row by row.
[[nodiscard]] constexpr std::size_t triangle_size(std::size_t size) {
  return size * (size + 1) / 2;
}
/// Where (row, column), row <= column, stands in such a triangle.
[[nodiscard]] constexpr std::size_t triangle_at(std::size_t row, std::size_t column,
                                                std::size_t size) {
  return row * size - row * (row + 1) / 2 + column;
}

/// A figure of one unit, x of y: y is 1 for each record (line of the log) where the figure is a
/// count or a length, and what x is a share of elsewhere.
enum class Lens : std::uint8_t {
  LengthTokens,     ///< tokens, of records
  LengthBytes,      ///< bytes of text, of records
  TokensPerByte,    ///< tokens of bytes
  UnseenTokens,     ///< tokens that the map slice lacks, of tokens
  FallbackTokens,   ///< unknown tokens and tokens that are no whole characters, of tokens
  SpecialTokens,    ///< special tokens inside the text, of records
  TemplateMarkers,  ///< spellings of chat templates' markers inside the text, of records
  Latin,            ///< letters of a script, of letters (these eight add up to the letters)
  Cyrillic,
  Han,
  Arabic,
  Devanagari,
  Kana,
  Hangul,
  OtherLetters,
  Digits,       ///< digits, of characters
  Url,          ///< bytes of URLs, of bytes
  CodeFence,    ///< bytes between ``` fences, of bytes
  DistinctTwo,  ///< distinct bigram cells, of bigrams
  Novelty,      ///< sampled 3-grams that the map's filter lacks, of sampled 3-grams
  Empty,        ///< records without a token, of records
  Truncated,    ///< outputs cut off by their length limit, of outputs with a finish reason
  Refusal,      ///< outputs that begin as refusals do, of outputs
};
inline constexpr std::size_t kLensCount = 23;

/// "length_tokens", "script_latin"; the names in files, reports and options.
[[nodiscard]] std::string_view name_of(Lens lens);

/// Sums over the units with y > 0, and a histogram of their values. The value of a unit is x where
/// y counts records (Length*, SpecialTokens, TemplateMarkers, Empty, Truncated, Refusal), else the
/// share x / y in units of 2^-kFixedBits, rounded to nearest.
struct LensState {
  std::int64_t units = 0;  ///< with y > 0
  Int128 x = 0;
  Int128 y = 0;
  Int128 xx = 0;
  Int128 xy = 0;
  Int128 yy = 0;
  std::int64_t zeros = 0;                     ///< units with value 0
  std::map<std::int32_t, std::int64_t> bins;  ///< key (log_key of the value) → units
  friend bool operator==(const LensState&, const LensState&) = default;
};

/// DDSketch's key of a value >= 1: the smallest k with value <= (101/99)^k, so that a bin's value
/// is known within 1 %. Values above 2^40 count as 2^40.
[[nodiscard]] std::int32_t log_key(std::uint64_t value);
/// The key of 2^40, the largest there is.
[[nodiscard]] std::int32_t max_log_key();
/// The value that stands for a bin: 2 gamma^k / (gamma + 1).
[[nodiscard]] double log_value(std::int32_t key);

/// Counts in a profile are below this, so that sums of them don't overflow.
inline constexpr std::int64_t kMaxCount = std::int64_t{1} << 50;

struct TokenCount {
  std::int32_t id = 0;
  std::int64_t df = 0;  ///< units that contain it
  std::int64_t tf = 0;  ///< occurrences
  friend bool operator==(const TokenCount&, const TokenCount&) = default;
};

/// A categorical field of the log: one value for each unit (with --cluster its first record's).
struct Feature {
  std::string name;
  std::map<std::string, std::int64_t> counts;
  std::int64_t other = 0;    ///< objects, arrays, values over 128 bytes; sealed: rare values
  std::int64_t missing = 0;  ///< the field is absent or null
  friend bool operator==(const Feature&, const Feature&) = default;
};
/// A feature with more distinct values than this is refused: it is an identifier, not a category.
inline constexpr std::size_t kMaxFeatureValues = 1024;

enum class Malformed : std::uint8_t { Json, MissingField, Surrogate, Utf8, Binary, TooLong, Type };
inline constexpr std::size_t kMalformedKinds = 7;
[[nodiscard]] std::string_view name_of(Malformed kind);

struct LinePlace {
  std::string part;  ///< part id
  std::int64_t line = 0;
  friend auto operator<=>(const LinePlace&, const LinePlace&) = default;
};
struct MalformedLines {
  std::int64_t count = 0;
  std::vector<LinePlace> first;  ///< the kFirstLines smallest, sorted
  friend bool operator==(const MalformedLines&, const MalformedLines&) = default;
};
inline constexpr std::size_t kFirstLines = 5;

/// What `seal` left out, and under which rule.
struct Seal {
  std::int64_t min_prompts = 0;  ///< tokens in fewer units are folded
  struct Bucket {                ///< tokens folded together by a keyed hash
    std::int64_t tokens = 0;     ///< distinct ones
    std::int64_t df = 0;
    std::int64_t tf = 0;
    friend bool operator==(const Bucket&, const Bucket&) = default;
  };
  std::vector<Bucket> buckets;  ///< kSealBuckets
  friend bool operator==(const Seal&, const Seal&) = default;
};
inline constexpr std::size_t kSealBuckets = 64;

/// What two profiles must share to be merged or compared. `digest` covers the rest.
struct Fingerprint {
  std::string tokenizer;  ///< "sha256:..." of what decides ids
  std::string map;        ///< of the map's content
  std::string key_id;
  std::string settings;  ///< canonical text: "side=prompt system=no cluster=no"
  std::string digest;    ///< of all these and kSchema
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};
inline constexpr std::string_view kSchema = "loraproof.drift/1";

/// What was counted in a set of units.
struct Counts {
  std::int64_t units = 0;        ///< n: prompts, outputs or clusters
  std::int64_t empty_units = 0;  ///< of those, without a token (they add 0 to sketch and groups)
  std::int64_t records = 0;      ///< lines of the log; more than `units` with --cluster
  std::int64_t tokens = 0;
  std::int64_t bytes = 0;  ///< of the texts, not of the log

  std::vector<TokenCount> token_counts;      ///< sorted by id, df > 0
  std::vector<std::int64_t> bigram_df;       // [kBigramCells]; units with such a bigram
  std::vector<Int128> sketch_sum;            // [kSketchSize], 2^-16
  std::vector<Int128> sketch_products;       // triangle of kSketchSize, 2^-32
  std::array<Int128, kGroups> group_sum{};   // 2^-16: sums of per-unit shares
  std::vector<Int128> group_products;        // triangle of kGroups, 2^-32
  std::array<LensState, kLensCount> lenses;  // by Lens
  std::vector<Feature> features;             ///< in the order of the options
  std::optional<Seal> seal;

  [[nodiscard]] const LensState& lens(Lens which) const {
    return lenses[static_cast<std::size_t>(which)];
  }
  friend bool operator==(const Counts&, const Counts&) = default;
};

/// The units whose field --by has this value.
struct Segment {
  std::string value;
  Counts counts;
  friend bool operator==(const Segment&, const Segment&) = default;
};
/// More values than this are refused, each costs about as much memory as a profile.
inline constexpr std::size_t kMaxSegments = 64;

/// The counts of all units, and what they are counts of.
struct Profile : Counts {
  Fingerprint fingerprint;
  Map map;  ///< Sealed: only its header, no counts and no filter (map.tokens is empty).
  std::int64_t held_out = 0;  ///< units of a reference that went to the map, not in `units`
  std::array<MalformedLines, kMalformedKinds> malformed;  // by Malformed
  std::vector<std::string> parts;                         ///< sorted; empty when sealed
  /// The feature of --by; "": none. Units without a value of it are in no segment.
  std::string segmented_by;
  std::vector<Segment> segments;  ///< sorted by value; sealed: those with enough units

  friend bool operator==(const Profile&, const Profile&) = default;
};

/// Counts of nothing, all tables at their sizes.
[[nodiscard]] Counts empty_counts();
/// A profile of nothing.
[[nodiscard]] Profile empty_profile();

}  // namespace loraproof::drift
