// SPDX-License-Identifier: Apache-2.0
// Profiles as state: merging in any order, fingerprints, sealing, files.
#include "loraproof/drift/profile.h"

#include <algorithm>
#include <random>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/drift/merge.h"
#include "loraproof/drift/profile_file.h"
#include "support/catch.h"
#include "support/errors.h"
#include "support/temp_dir.h"
#include "unit/drift/support.h"

namespace loraproof::drift::test {
namespace {

using loraproof::test::input_error_of;
using loraproof::test::TempDir;

const Map& record_map() {
  static const Map map = map_of({.inputs = {fixture_log()}}, Holdout::Record);
  return map;
}

RunOptions options_of(const std::string& path) {
  RunOptions options{.inputs = {path}};
  options.record.features = {{"tier", "/tier"}};
  return options;
}

// The fixture's lines dealt out to `parts` files at random.
std::vector<Profile> split_profiles(const TempDir& folder, int parts, unsigned seed,
                                    bool leave_out) {
  std::mt19937 chance(seed);
  std::vector<std::string> texts(static_cast<std::size_t>(parts));
  for (const std::string& line : lines_of(fixture_log())) {
    texts[chance() % texts.size()] += line + "\n";
  }
  std::vector<Profile> out;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto path =
        folder.write(std::to_string(seed) + "-" + std::to_string(i) + ".jsonl", texts[i]);
    out.push_back(profile_of(options_of(path.string()), record_map(), leave_out));
  }
  return out;
}

std::string bytes_without_parts(Profile profile) {
  profile.parts.clear();
  return to_bytes(profile);
}

Profile whole(bool leave_out = false) {
  return profile_of(options_of(fixture_log()), record_map(), leave_out);
}

}  // namespace

TEST_CASE("any split and any order of merging give the bytes of one run") {
  const TempDir folder;
  const bool leave_out = GENERATE(false, true);
  const std::string expected = bytes_without_parts(whole(leave_out));
  for (const unsigned seed : {1U, 2U, 3U}) {
    std::vector<Profile> parts = split_profiles(folder, 5, seed, leave_out);
    Profile forward = parts[0];
    for (std::size_t i = 1; i < parts.size(); ++i) merge(forward, parts[i]);
    std::shuffle(parts.begin(), parts.end(), std::mt19937(seed));
    // ((a + b) + ((c + d) + e))
    merge(parts[2], parts[3]);
    merge(parts[2], parts[4]);
    merge(parts[0], parts[1]);
    merge(parts[0], parts[2]);
    CHECK(to_bytes(parts[0]) == to_bytes(forward));
    CHECK(bytes_without_parts(forward) == expected);
  }
}

TEST_CASE("the number of threads changes nothing") {
  RunOptions options = options_of(fixture_log());
  const std::string one = to_bytes(profile_of(options, record_map()));
  for (const int threads : {2, 5}) {
    options.threads = threads;
    CHECK(to_bytes(profile_of(options, record_map())) == one);
    CHECK(map_of(options, Holdout::Record) == record_map());
  }
}

TEST_CASE("profiles that don't belong together are not merged") {
  Profile profile = whole();
  SECTION("the same part twice") {
    const ErrorDetail detail = input_error_of([&] { merge(profile, whole()); });
    CHECK(detail.message == "a part would be counted twice");
    CHECK(detail.found == "part " + profile.parts.front());
  }
  Profile other = whole();
  other.parts = {"other"};
  SECTION("another tokenizer") {
    other.fingerprint.tokenizer = "sha256:00";
    CHECK(input_error_of([&] { merge(profile, other); }).message.find("the tokenizer differs") !=
          std::string::npos);
  }
  SECTION("another key") {
    other.fingerprint.key_id = "0123456789abcdef";
    CHECK(input_error_of([&] { merge(profile, other); }).message.find("the key differs") !=
          std::string::npos);
  }
  SECTION("another map") {
    other.fingerprint.map = "sha256:11";
    CHECK(input_error_of([&] { merge(profile, other); }).message.find("the map differs") !=
          std::string::npos);
  }
  SECTION("other settings") {
    other.fingerprint.settings = "side=output system=no cluster=no";
    CHECK(input_error_of([&] { merge(profile, other); }).message.find("the settings differ") !=
          std::string::npos);
  }
  SECTION("other features") {
    other.features.clear();
    CHECK(input_error_of([&] { merge(profile, other); }).message.find("features differ") !=
          std::string::npos);
  }
  SECTION("a sealed one") {
    other = seal(whole(), Key::published(), {});
    CHECK(input_error_of([&] { merge(profile, other); }).message ==
          "a sealed profile can't be merged");
  }
}

TEST_CASE("a map for another side, tokenizer or key is refused") {
  RunOptions options = options_of(fixture_log());
  options.record.side = Side::Output;
  CHECK(input_error_of([&] {
          (void)profile_of(options, record_map());
        }).message.find("settings differ") != std::string::npos);
  Map map = record_map();
  map.tokenizer = "sha256:22";
  CHECK(input_error_of([&] {
          (void)profile_of(options_of(fixture_log()), map);
        }).message.find("tokenizer differs") != std::string::npos);
}

TEST_CASE("a sealed profile shows nothing rare and no places") {
  const Profile open = whole();
  const Profile sealed = seal(open, Key::published(), {.min_prompts = 10});
  std::int64_t tf = 0, folded = 0;
  for (const TokenCount& token : sealed.token_counts) {
    CHECK(token.df >= 10);
    tf += token.tf;
  }
  for (const Seal::Bucket& bucket : sealed.seal->buckets) folded += bucket.tf;
  CHECK(tf + folded == open.tokens);
  CHECK(sealed.token_counts.size() < open.token_counts.size());
  CHECK(std::all_of(sealed.bigram_df.begin(), sealed.bigram_df.end(),
                    [](std::int64_t df) { return df == 0 || df >= 10; }));
  CHECK(sealed.parts.empty());
  CHECK(sealed.map.tokens.empty());
  CHECK(sealed.map.filter.words.empty());
  CHECK(sealed.fingerprint == open.fingerprint);
  CHECK(std::get<Profile>(parse_stored(to_bytes(sealed))) == sealed);
  const std::string bytes = to_bytes(sealed);
  for (const char* text : {"invoice", "customer", "Summarise", "example.org", "log.jsonl"}) {
    CHECK(bytes.find(text) == std::string::npos);
  }
}

TEST_CASE("no piece of a prompt longer than a token stands in a sealed profile") {
  // Words that no token of the tokenizer spells, in prompts that all are different, and one prompt
  // that everybody sends.
  std::mt19937 chance(11);
  const TempDir folder;
  std::vector<std::string> prompts;
  std::string log;
  for (int i = 0; i < 300; ++i) {
    std::string prompt = i % 3 == 0 ? "the password of the office is hunter2-zebra" : "";
    while (prompt.size() < 60) {
      prompt += static_cast<char>('a' + chance() % 26);
      if (chance() % 8 == 0) prompt += ' ';
    }
    prompts.push_back(prompt);
    log +=
        R"({"prompt": ")" + prompt + R"(", "tier": ")" + (i % 2 == 0 ? "gold" : "free") + "\"}\n";
  }
  RunOptions options = options_of(folder.write("log.jsonl", log).string());
  options.record.by = "tier";
  const Profile open = profile_of(options, map_of(options, Holdout::Record), true);
  const std::string sealed = to_bytes(seal(open, Key::published(), {.min_prompts = 10}));
  const Encoder& encoder = demo_encoder();
  std::size_t longest = 0;
  std::vector<std::int32_t> ids;
  text::WordCache words;
  for (const std::string& prompt : prompts) encoder.tokenizer.encode(prompt, words, ids);
  for (const std::int32_t id : ids) {
    const std::int32_t one[] = {id};
    longest = std::max(longest, encoder.tokenizer.decode(one, false).size());
  }
  const std::size_t size = std::min<std::size_t>(longest + 1, 5);
  REQUIRE(sealed.size() > 10'000);
  std::size_t found = 0;
  for (const std::string& prompt : prompts) {
    for (std::size_t at = 0; at + size <= prompt.size(); ++at)
      found += sealed.find(std::string_view(prompt).substr(at, size)) != sealed.npos ? 1 : 0;
  }
  CHECK(found == 0);
  CHECK(sealed.find("gold") != sealed.npos);  // text would be found: values of many prompts stay
}

TEST_CASE("sealing is refused where it would not protect") {
  Profile profile = whole();
  CHECK(input_error_of([&] {
          (void)seal(seal(profile, Key::published(), {}), Key::published(), {});
        }).message == "the profile is sealed already");
  CHECK(input_error_of([&] {
          (void)seal(profile, Key::from_secret("sixteen bytes or more"), {});
        }).message == "the profile was made with another key");
  profile.units = 49;
  CHECK(input_error_of([&] {
          (void)seal(profile, Key::published(), {});
        }).message.find("too few prompts") == 0);
  CHECK_THROWS_AS(seal(whole(), Key::published(), {.min_prompts = 1}), Error);
}

TEST_CASE("files give back what was written, as bytes and as a line") {
  const TempDir folder;
  const Profile profile = whole();
  const std::string bytes = to_bytes(profile);
  CHECK(std::get<Profile>(parse_stored(bytes)) == profile);
  CHECK(std::get<Profile>(parse_stored(to_line(bytes))) == profile);
  CHECK(std::get<Map>(parse_stored(to_bytes(record_map()))) == record_map());
  const auto path = folder.write("lines", to_line(bytes) + to_line(bytes));
  int count = 0;
  for_each_profile(path, [&](const Profile& read) { count += read == profile ? 1 : 0; });
  CHECK(count == 2);
  CHECK(input_error_of([&] { (void)read_profile(path); }).message ==
        "several profiles where one was expected");
  CHECK(read_map(folder.write("profile", bytes)) == record_map());
}

TEST_CASE("damaged files are refused, whatever was done to them") {
  const std::string bytes = to_bytes(whole());
  SECTION("cut short anywhere") {
    for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 7) {
      CHECK_THROWS_AS(parse_stored(std::string_view(bytes).substr(0, size)), Error);
    }
    CHECK(input_error_of([&] {
            (void)parse_stored(std::string_view(bytes).substr(0, bytes.size() - 1));
          }).message == "the profile is cut short");
  }
  SECTION("a flipped bit") {
    for (std::size_t at = 0; at < bytes.size(); at += 1 + at / 5) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ 4);
      CHECK_THROWS_AS(parse_stored(flipped), Error);
    }
  }
  SECTION("a newer version is named") {
    std::string newer = bytes;
    newer[9] = 3;
    const ErrorDetail detail = input_error_of([&] { (void)parse_stored(newer); });
    CHECK(detail.found == "version 3");
    CHECK(detail.expected == "version 2");
  }
  SECTION("something else") {
    CHECK(input_error_of([&] { (void)parse_stored("{\"prompt\":\"x\"}"); }).message ==
          "this is not a drift profile");
    CHECK(input_error_of([&] {
            (void)parse_stored("loraproof-drift:%%%%");
          }).message.find("not Base64") != std::string::npos);
    CHECK_THROWS_AS(parse_stored(bytes + "x"), Error);
  }
}

TEST_CASE("a field with too many values is no feature") {
  const TempDir folder;
  std::string text;
  for (int i = 0; i < 1025; ++i) text += "{\"prompt\":\"a\",\"tier\":" + std::to_string(i) + "}\n";
  const auto path = folder.write("log", text);
  RunOptions options = options_of(path.string());
  options.threads = GENERATE(1, 4);
  const ErrorDetail detail = input_error_of([&] { (void)profile_of(options, record_map()); });
  CHECK(detail.message.find("too many distinct values") != std::string::npos);
  CHECK(detail.where == "--feature tier");
}

}  // namespace loraproof::drift::test
