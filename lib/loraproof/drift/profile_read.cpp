// SPDX-License-Identifier: Apache-2.0
// The reader of the profile format. What comes out has been checked so far that sums and shares of
// it can be computed without looking again.
#include <fmt/format.h>
#include <functional>

#include "loraproof/core/digest.h"
#include "loraproof/core/file.h"
#include "loraproof/drift/merge.h"
#include "loraproof/drift/profile_file.h"
#include "loraproof/drift/profile_format.h"

namespace loraproof::drift {
namespace {

constexpr std::int32_t kMaxId = 1 << 22;
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;
constexpr Int128 kMaxSum = Int128{1} << 100;

class Reader {
 public:
  explicit Reader(std::string_view content) : in_(content) {}

  Map map();
  Profile profile();
  void end() {
    if (!in_.at_end()) throw in_.wrong("content", "more bytes than the format has");
  }

 private:
  void expect(bool holds, std::string_view what) {
    if (!holds) throw in_.wrong(what, "figures that contradict each other");
  }
  std::int64_t count(std::string_view what, std::int64_t most = kMaxCount) {
    return in_.count(what, most);
  }
  bool flag(std::string_view what) { return in_.count(what, 1) == 1; }
  Int128 sum(std::string_view what) {
    const Int128 value = in_.integer();
    if (value > kMaxSum || value < -kMaxSum) throw in_.wrong(what, "a sum out of range");
    return value;
  }
  Int128 positive_sum(std::string_view what) {
    const Int128 value = sum(what);
    expect(value >= 0, what);
    return value;
  }
  template <typename Token>
  std::vector<Token> tokens(std::int64_t most_df);
  std::vector<std::int64_t> cells(std::int64_t most_df);
  LensState lens(std::int64_t units);
  Feature feature(std::int64_t units);
  MalformedLines malformed();
  std::optional<Seal> seal();
  Counts counts();
  void check_tokens(const Counts& counts);
  void segments(Profile& out);

  WireReader in_;
};

template <typename Token>
std::vector<Token> Reader::tokens(std::int64_t most_df) {
  std::vector<Token> out(in_.items("token counts", 3));
  std::int32_t id = -1;
  for (Token& token : out) {
    const std::int64_t step = count("token id", kMaxId);
    expect(step >= 1 && id + step <= kMaxId, "token id");
    id += static_cast<std::int32_t>(step);
    token.id = id;
    token.df = count("document frequency", most_df);
    expect(token.df >= 1, "document frequency");
    token.tf = token.df + count("token frequency");
  }
  return out;
}

Map Reader::map() {
  Map map;
  map.side = static_cast<Side>(in_.count("side", 1));
  map.holdout = static_cast<Holdout>(in_.count("holdout", 1));
  map.system_kept = flag("system");
  map.clustered = flag("cluster");
  map.tokenizer = in_.text("tokenizer digest");
  map.key_id = in_.text("key id");
  map.units = count("units of the slice");
  map.seen = count("units seen");
  expect(map.units <= map.seen, "units of the slice");
  map.token_total = count("tokens of the slice");
  map.tokens = tokens<MapToken>(map.units);
  std::int64_t total = 0;
  for (const MapToken& token : map.tokens) {
    total += token.tf;
    expect(total <= map.token_total, "tokens of the slice");
  }
  expect(map.tokens.empty() || total == map.token_total, "tokens of the slice");
  map.filter.sample_bits = static_cast<std::int32_t>(in_.count("sample bits", 40));
  map.filter.ngrams = count("n-grams");
  map.filter.words.resize(in_.items("filter", 8));
  for (std::uint64_t& word : map.filter.words) word = in_.word();
  expect(map.filter.words.empty() == (map.filter.ngrams == 0), "filter");
  return map;
}

std::vector<std::int64_t> Reader::cells(std::int64_t most_df) {
  std::vector<std::int64_t> out(kBigramCells);
  const std::size_t used = in_.items("bigram cells", 2);
  std::int64_t cell = -1;
  for (std::size_t i = 0; i < used; ++i) {
    const std::int64_t step = count("bigram cell", kBigramCells);
    expect(step >= 1, "bigram cell");
    cell += step;
    expect(cell < static_cast<std::int64_t>(kBigramCells), "bigram cell");
    out[static_cast<std::size_t>(cell)] = count("bigram cell", most_df);
    expect(out[static_cast<std::size_t>(cell)] >= 1, "bigram cell");
  }
  return out;
}

LensState Reader::lens(std::int64_t units) {
  LensState out;
  out.units = count("lens", units);
  for (Int128* value : {&out.x, &out.y, &out.xx, &out.xy, &out.yy}) *value = positive_sum("lens");
  out.zeros = count("lens", out.units);
  std::int64_t left = out.units - out.zeros;
  const std::size_t bins = in_.items("histogram", 2);
  std::int32_t key = -1;
  for (std::size_t i = 0; i < bins; ++i) {
    const std::int64_t step = count("histogram", max_log_key() + 1);
    expect(step >= 1 && key + step <= max_log_key(), "histogram");
    key += static_cast<std::int32_t>(step);
    const std::int64_t entries = count("histogram", left);
    expect(entries >= 1, "histogram");
    left -= entries;
    out.bins.emplace_hint(out.bins.end(), key, entries);
  }
  expect(left == 0, "histogram");
  return out;
}

Feature Reader::feature(std::int64_t units) {
  Feature out{.name = in_.text("feature")};
  const std::size_t values = in_.items("feature", 2);
  expect(values <= kMaxFeatureValues, "feature");
  std::int64_t left = units;
  for (std::size_t i = 0; i < values; ++i) {
    std::string value = in_.text("feature");
    expect(out.counts.empty() || out.counts.rbegin()->first < value, "feature");
    const std::int64_t entries = count("feature", left);
    expect(entries >= 1, "feature");
    left -= entries;
    out.counts.emplace_hint(out.counts.end(), std::move(value), entries);
  }
  out.other = count("feature", left);
  out.missing = count("feature", left - out.other);
  expect(out.other + out.missing == left, "feature");
  return out;
}

MalformedLines Reader::malformed() {
  MalformedLines out;
  out.count = count("malformed lines");
  const std::size_t places = in_.items("malformed lines", 2);
  expect(places <= kFirstLines, "malformed lines");
  for (std::size_t i = 0; i < places; ++i) {
    LinePlace place{.part = in_.text("part")};
    place.line = count("line number");
    expect(out.first.empty() || out.first.back() <= place, "malformed lines");
    out.first.push_back(std::move(place));
  }
  expect(static_cast<std::int64_t>(places) <= out.count, "malformed lines");
  return out;
}

std::optional<Seal> Reader::seal() {
  if (!flag("seal")) return std::nullopt;
  Seal out{.min_prompts = count("seal")};
  expect(out.min_prompts >= 2, "seal");
  out.buckets.resize(kSealBuckets);
  for (Seal::Bucket& bucket : out.buckets) {
    bucket.tokens = count("seal");
    bucket.df = count("seal");
    bucket.tf = count("seal");
    expect(bucket.tokens <= bucket.df && bucket.df <= bucket.tf, "seal");
  }
  return out;
}

void Reader::check_tokens(const Counts& counts) {
  std::int64_t left = counts.tokens;
  const auto take = [&](std::int64_t tf) {
    expect(tf <= left, "token counts");
    left -= tf;
  };
  for (const TokenCount& token : counts.token_counts) take(token.tf);
  if (counts.seal) {
    for (const Seal::Bucket& bucket : counts.seal->buckets) take(bucket.tf);
    for (const TokenCount& token : counts.token_counts) {
      expect(token.df >= counts.seal->min_prompts, "seal");
    }
  }
  expect(left == 0, "token counts");
}

Counts Reader::counts() {
  Counts out = empty_counts();
  out.units = count("units");
  out.empty_units = count("empty units", out.units);
  out.records = count("records");
  out.tokens = count("tokens");
  out.bytes = count("bytes");
  out.token_counts = tokens<TokenCount>(out.units);
  out.bigram_df = cells(out.units);
  for (Int128& value : out.sketch_sum) value = sum("sketch");
  for (Int128& value : out.sketch_products) value = sum("sketch");
  for (Int128& value : out.group_sum) value = positive_sum("groups");
  for (Int128& value : out.group_products) value = positive_sum("groups");
  for (LensState& value : out.lenses) value = lens(out.units);
  out.features.resize(in_.items("features", 4));
  for (Feature& value : out.features) value = feature(out.units);
  out.seal = seal();
  check_tokens(out);
  for (std::size_t i = 0; i < kSketchSize; ++i) {
    expect(out.sketch_products[triangle_at(i, i, kSketchSize)] >= 0, "sketch");
  }
  return out;
}

void Reader::segments(Profile& out) {
  out.segmented_by = in_.text("segments");
  const std::size_t size = in_.items("segments");
  expect(size <= kMaxSegments && (size == 0 || !out.segmented_by.empty()), "segments");
  std::int64_t left = out.units;
  for (std::size_t i = 0; i < size; ++i) {
    Segment segment{.value = in_.text("segment"), .counts = counts()};
    expect(out.segments.empty() || out.segments.back().value < segment.value, "segments");
    expect(same_features(segment.counts, out), "segments");
    expect(segment.counts.units <= left && segment.counts.seal.has_value() == out.seal.has_value(),
           "segments");
    left -= segment.counts.units;
    out.segments.push_back(std::move(segment));
  }
}

Profile Reader::profile() {
  Profile out;
  std::string map_digest = in_.text("map digest");
  out.map = map();
  out.fingerprint = fingerprint_of(out.map, map_digest);
  static_cast<Counts&>(out) = counts();
  out.held_out = count("held-out units");
  for (MalformedLines& value : out.malformed) value = malformed();
  const std::size_t parts = in_.items("parts");
  for (std::size_t i = 0; i < parts; ++i) {
    std::string part = in_.text("part");
    expect(out.parts.empty() || out.parts.back() < part, "parts");
    out.parts.push_back(std::move(part));
  }
  segments(out);
  if (out.seal) {
    expect(out.parts.empty() && out.map.tokens.empty() && out.map.filter.words.empty(), "seal");
  } else {
    expect(fingerprint_of(out.map).map == map_digest, "map digest");
  }
  return out;
}

Error not_stored() {
  return input_error({.message = "this is not a drift profile",
                      .expected = "a file that `loraproof drift profile` wrote"});
}

// Takes the frame off: magic, kind, version, content, checksum.
std::string_view content_of(std::string_view bytes, char& kind) {
  kind = bytes[kMagic.size()];
  WireReader head(bytes.substr(kMagic.size() + 1));
  const std::int64_t version = head.count("version", kMaxCount);
  if (version != kFormatVersion) {
    throw input_error(
        {.message = "another version of the profile format",
         .expected = fmt::format("version {}", kFormatVersion),
         .found = fmt::format("version {}", version),
         .hint = "a newer loraproof wrote it: update this one, or make the profile again"});
  }
  const Unsigned128 size = head.number();
  const std::size_t begin = kMagic.size() + 1 + head.position();
  const std::size_t left = bytes.size() - begin;
  if (left < kChecksumBytes || size > left - kChecksumBytes) {
    throw input_error({.message = "the profile is cut short",
                       .found = fmt::format("{} bytes", bytes.size()),
                       .hint = "copy or make it again"});
  }
  const std::size_t end = begin + static_cast<std::size_t>(size);
  if (end + kChecksumBytes != bytes.size()) throw head.wrong("end", "bytes after the checksum");
  if (raw_sha256(bytes.substr(0, end)) != bytes.substr(end)) {
    throw head.wrong("checksum", "other bytes than were written");
  }
  return bytes.substr(begin, end - begin);
}

Stored parse_bytes(std::string_view bytes) {
  if (bytes.size() <= kMagic.size() || !bytes.starts_with(kMagic)) throw not_stored();
  char kind = 0;
  Reader reader(content_of(bytes, kind));
  Stored out;
  if (kind == kMapKind) {
    out = reader.map();
  } else if (kind == kProfileKind) {
    out = reader.profile();
  } else {
    throw not_stored();
  }
  reader.end();
  return out;
}

// Calls use(stored) for what a file holds, one binary form or lines.
void for_each_stored(const std::filesystem::path& path, const std::function<void(Stored&)>& use) {
  const std::string text = read_text_file(path, kMaxFileBytes);
  std::size_t line = 0;
  try {
    if (!text.starts_with(kLinePrefix)) {
      Stored stored = parse_bytes(text);
      return use(stored);
    }
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      ++line;
      if (end > begin) {
        Stored stored = parse_stored(std::string_view(text).substr(begin, end - begin));
        use(stored);
      }
      begin = end + 1;
    }
  } catch (const Error& error) {
    ErrorDetail detail = error.detail();
    detail.file = path.string();
    if (line > 1)
      detail.where =
          fmt::format("line {}{}{}", line, detail.where.empty() ? "" : ", ", detail.where);
    throw Error(error.kind(), std::move(detail));
  }
}

}  // namespace

bool looks_stored(std::string_view beginning) {
  return beginning.starts_with(kMagic) || beginning.starts_with(kLinePrefix);
}

Stored parse_stored(std::string_view text) {
  if (!text.starts_with(kLinePrefix)) return parse_bytes(text);
  text.remove_prefix(kLinePrefix.size());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  std::string bytes;
  if (!from_base64(text, bytes)) {
    throw input_error(
        {.message = "the profile is damaged: not Base64", .hint = "copy or make it again"});
  }
  return parse_bytes(bytes);
}

void for_each_profile(const std::filesystem::path& path, const std::function<void(Profile)>& use) {
  std::size_t count = 0;
  for_each_stored(path, [&](Stored& stored) {
    if (std::holds_alternative<Map>(stored)) {
      throw input_error(
          {.message = "this is a map, not a profile", .hint = "it goes to `drift profile --map`"});
    }
    ++count;
    use(std::get<Profile>(std::move(stored)));
  });
  if (count == 0) throw not_stored().with_file(path.string());
}

Profile read_profile(const std::filesystem::path& path) {
  std::optional<Profile> out;
  for_each_profile(path, [&](Profile profile) {
    if (out) {
      throw input_error({.message = "several profiles where one was expected",
                         .hint = "merge them: loraproof drift merge"});
    }
    out = std::move(profile);
  });
  return *std::move(out);
}

Map read_map(const std::filesystem::path& path) {
  Map out;
  for_each_stored(path, [&](Stored& stored) {
    if (const auto* profile = std::get_if<Profile>(&stored)) {
      if (profile->seal) {
        throw input_error({.message = "a sealed profile holds no map",
                           .hint = "keep the map (drift map) or the unsealed reference"});
      }
      out = profile->map;
    } else {
      out = std::get<Map>(std::move(stored));
    }
  });
  return out;
}

}  // namespace loraproof::drift
