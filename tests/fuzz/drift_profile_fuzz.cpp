// SPDX-License-Identifier: Apache-2.0
// Any bytes as a profile or a map; what is accepted is written again as the same bytes. The
// checksum would hide everything behind it, so the input is also taken as content and framed here.
#include <string>
#include <string_view>
#include <variant>

#include "fuzz/fuzz.h"
#include "loraproof/drift/merge.h"
#include "loraproof/drift/profile_file.h"
#include "loraproof/drift/profile_format.h"
#include "loraproof/drift/tables.h"

namespace {

using namespace loraproof::drift;
using loraproof::fuzz::fuzz_check;

void check(std::string_view text) {
  Stored stored;
  if (!loraproof::fuzz::only_input_errors([&] { stored = parse_stored(text); })) return;
  const std::string bytes = std::visit([](const auto& value) { return to_bytes(value); }, stored);
  if (text.starts_with(kMagic)) fuzz_check(bytes == text, "one state has one spelling");
  if (const auto* profile = std::get_if<Profile>(&stored)) {
    Profile sum = *profile;
    loraproof::fuzz::only_input_errors([&] { merge(sum, *profile); });
  }
}

std::string content_of(const std::string& bytes) {
  WireReader head(std::string_view(bytes).substr(kMagic.size() + 1));
  (void)head.number();
  (void)head.number();
  const std::size_t begin = kMagic.size() + 1 + head.position();
  return bytes.substr(begin, bytes.size() - begin - kChecksumBytes);
}

Map small_map() {
  Map map{.tokenizer = "sha256:00", .key_id = "published", .units = 2, .seen = 9, .token_total = 5};
  map.tokens = {{1, 1, 2}, {7, 2, 3}};
  map.filter = make_filter({64, 128}, 3);
  return map;
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  Profile profile = empty_profile();
  profile.map = small_map();
  profile.fingerprint = fingerprint_of(profile.map);
  profile.parts = {"a", "b"};
  profile.features = {{.name = "tier"}};
  profile.segmented_by = "tier";
  for (const char* value : {"a", "b"}) {
    profile.segments.push_back({.value = value, .counts = empty_counts()});
    profile.segments.back().counts.features = {{.name = "tier"}};
  }
  const std::string bytes = to_bytes(profile);
  const std::string map = to_bytes(profile.map);
  return {.seeds = {bytes, map, to_line(map), "P" + content_of(bytes), "M" + content_of(map)},
          .dictionary = {"LRPDRIFT", "loraproof-drift:", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
                         "\xFF\xFF\xFF\x7F", std::string(8, '\0')}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = loraproof::fuzz::as_text(data, size);
  check(text);
  if (!text.empty() && (text[0] == kMapKind || text[0] == kProfileKind)) {
    check(framed(text[0], text.substr(1)));
  }
  return 0;
}
