// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/profile_file.h"

#include <fmt/format.h>

#include "loraproof/core/digest.h"
#include "loraproof/drift/profile_format.h"
#include "loraproof/drift/wire.h"

namespace loraproof::drift {
namespace {

void write_map(WireWriter& out, const Map& map) {
  out.count(static_cast<std::int64_t>(map.side));
  out.count(static_cast<std::int64_t>(map.holdout));
  out.count(map.system_kept ? 1 : 0);
  out.count(map.clustered ? 1 : 0);
  out.text(map.tokenizer);
  out.text(map.key_id);
  out.count(map.units);
  out.count(map.seen);
  out.count(map.token_total);
  write_tokens(out, map.tokens);
  out.count(map.filter.sample_bits);
  out.count(map.filter.ngrams);
  out.count(static_cast<std::int64_t>(map.filter.words.size()));
  for (const std::uint64_t word : map.filter.words) out.word(word);
}

void write_lens(WireWriter& out, const LensState& lens) {
  out.count(lens.units);
  for (const Int128 sum : {lens.x, lens.y, lens.xx, lens.xy, lens.yy}) out.integer(sum);
  out.count(lens.zeros);
  out.count(static_cast<std::int64_t>(lens.bins.size()));
  std::int32_t previous = -1;
  for (const auto& [key, count] : lens.bins) {
    out.count(key - previous);
    out.count(count);
    previous = key;
  }
}

void write_features(WireWriter& out, const std::vector<Feature>& features) {
  out.count(static_cast<std::int64_t>(features.size()));
  for (const Feature& feature : features) {
    out.text(feature.name);
    out.count(static_cast<std::int64_t>(feature.counts.size()));
    for (const auto& [value, count] : feature.counts) {
      out.text(value);
      out.count(count);
    }
    out.count(feature.other);
    out.count(feature.missing);
  }
}

void write_cells(WireWriter& out, const std::vector<std::int64_t>& cells) {
  std::int64_t used = 0;
  for (const std::int64_t df : cells) used += df > 0 ? 1 : 0;
  out.count(used);
  std::int64_t previous = -1;
  for (std::size_t cell = 0; cell < cells.size(); ++cell) {
    if (cells[cell] == 0) continue;
    out.count(static_cast<std::int64_t>(cell) - previous);
    out.count(cells[cell]);
    previous = static_cast<std::int64_t>(cell);
  }
}

void write_places(WireWriter& out, const Profile& profile) {
  for (const MalformedLines& lines : profile.malformed) {
    out.count(lines.count);
    out.count(static_cast<std::int64_t>(lines.first.size()));
    for (const LinePlace& place : lines.first) {
      out.text(place.part);
      out.count(place.line);
    }
  }
  out.count(static_cast<std::int64_t>(profile.parts.size()));
  for (const std::string& part : profile.parts) out.text(part);
}

void write_seal(WireWriter& out, const std::optional<Seal>& seal) {
  out.count(seal ? 1 : 0);
  if (!seal) return;
  out.count(seal->min_prompts);
  for (const Seal::Bucket& bucket : seal->buckets) {
    out.count(bucket.tokens);
    out.count(bucket.df);
    out.count(bucket.tf);
  }
}

void write_counts(WireWriter& out, const Counts& counts) {
  for (const std::int64_t count :
       {counts.units, counts.empty_units, counts.records, counts.tokens, counts.bytes}) {
    out.count(count);
  }
  write_tokens(out, counts.token_counts);
  write_cells(out, counts.bigram_df);
  for (const Int128 sum : counts.sketch_sum) out.integer(sum);
  for (const Int128 sum : counts.sketch_products) out.integer(sum);
  for (const Int128 sum : counts.group_sum) out.integer(sum);
  for (const Int128 sum : counts.group_products) out.integer(sum);
  for (const LensState& lens : counts.lenses) write_lens(out, lens);
  write_features(out, counts.features);
  write_seal(out, counts.seal);
}

std::string map_content(const Map& map) {
  WireWriter out;
  write_map(out, map);
  return out.take();
}

}  // namespace

std::string raw_sha256(std::string_view bytes) {
  const std::string hex = sha256_of(bytes).substr(7);
  std::string raw;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    raw += static_cast<char>(value(hex[i]) << 4 | value(hex[i + 1]));
  }
  return raw;
}

std::string framed(char kind, std::string_view content) {
  WireWriter out;
  out.raw(kMagic);
  out.raw(std::string_view(&kind, 1));
  out.count(kFormatVersion);
  out.text(content);
  out.raw(raw_sha256(out.bytes()));
  return out.take();
}

Fingerprint fingerprint_of(const Map& map, std::string map_digest) {
  Fingerprint out{.tokenizer = map.tokenizer,
                  .map = std::move(map_digest),
                  .key_id = map.key_id,
                  .settings = settings_of(map)};
  out.digest = sha256_of(fmt::format("{}\ntokenizer {}\nmap {}\nkey {}\n{}\n", kSchema,
                                     out.tokenizer, out.map, out.key_id, out.settings));
  return out;
}

Fingerprint fingerprint_of(const Map& map) {
  return fingerprint_of(map, sha256_of(map_content(map)));
}

std::string to_bytes(const Map& map) { return framed(kMapKind, map_content(map)); }

std::string to_bytes(const Profile& profile) {
  WireWriter out;
  out.text(profile.fingerprint.map);
  write_map(out, profile.map);
  write_counts(out, profile);
  out.count(profile.held_out);
  write_places(out, profile);
  out.text(profile.segmented_by);
  out.count(static_cast<std::int64_t>(profile.segments.size()));
  for (const Segment& segment : profile.segments) {
    out.text(segment.value);
    write_counts(out, segment.counts);
  }
  return framed(kProfileKind, out.bytes());
}

std::string to_line(std::string_view bytes) {
  return std::string(kLinePrefix) + to_base64(bytes) + "\n";
}

}  // namespace loraproof::drift
