// SPDX-License-Identifier: Apache-2.0
// A profile against golden/values/drift_profile.json, which tests/oracles/drift_values.py computes
// with Hugging Face tokenizers and Python integers.
#include <fmt/format.h>

#include "loraproof/core/digest.h"
#include "loraproof/core/json.h"
#include "loraproof/drift/hash.h"
#include "support/catch.h"
#include "unit/drift/support.h"

namespace loraproof::drift::test {
namespace {

const Json& values() {
  static const Json json = read_json_file(source_path("golden/values/drift_profile.json"));
  return json;
}

std::string decimal(Int128 value) {
  std::string digits;
  const bool negative = value < 0;
  do {
    const int digit = static_cast<int>(value % 10);
    digits.insert(digits.begin(), static_cast<char>('0' + (digit < 0 ? -digit : digit)));
    value /= 10;
  } while (value != 0);
  return negative ? "-" + digits : digits;
}

template <typename Numbers>
std::string digest_of_list(const Numbers& numbers) {
  std::string text;
  for (const auto& number : numbers)
    text += (text.empty() ? "" : ",") + decimal(static_cast<Int128>(number));
  return sha256_of(text).substr(7);
}

template <typename Sums>
void require_sums(const Sums& sums, const Json& expected) {
  REQUIRE(sums.size() == expected.size());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    CHECK(static_cast<std::int64_t>(sums[i]) == expected[i].get<std::int64_t>());
  }
}

}  // namespace

TEST_CASE("hashes are SipHash-2-4") {
  const SipKey key{0x0706050403020100U, 0x0F0E0D0C0B0A0908U};
  for (const Json& row : values()["siphash"]) {
    std::string bytes;
    for (int i = 0; i < row[0].get<int>(); ++i) bytes += static_cast<char>(i);
    CHECK(std::to_string(siphash(key, bytes)) == row[1].get<std::string>());
  }
  CHECK(siphash_word(key, 0x0706050403020100U) ==
        siphash(key, std::string_view("\0\1\2\3\4\5\6\7", 8)));
  CHECK(siphash_words(key, 1, 2) ==
        siphash(key, std::string_view("\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16)));
}

TEST_CASE("histogram keys are the exact ones") {
  for (const Json& row : values()["log_keys"]) {
    CHECK(log_key(row[0].get<std::uint64_t>()) == row[1].get<std::int32_t>());
  }
  // Each threshold by the keys on both of its sides.
  std::vector<std::uint64_t> thresholds;
  for (std::int32_t key = 0; key <= max_log_key(); ++key) {
    std::uint64_t low = 1, high = std::uint64_t{1} << 40;
    while (low < high) {  // the largest value with a key up to this one
      const std::uint64_t middle = low + (high - low + 1) / 2;
      if (log_key(middle) <= key) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    thresholds.push_back(low);
  }
  // Powers below 2 have the same integer part: the largest value of the first keys is 1 for all.
  CHECK(thresholds.front() == 1);
  CHECK(digest_of_list(thresholds) == values()["log_thresholds_sha256"].get<std::string>());
  CHECK(log_value(log_key(1000)) == Approx(1000).epsilon(0.011));
}

TEST_CASE("a profile has the sums that Python computes") {
  const Json& expected = values()["profile"];
  const int threads = GENERATE(1, 3);
  const RunOptions options{.inputs = {fixture_log()}, .threads = threads};
  const Map map = map_of(options);
  REQUIRE(map.units == values()["map"]["units"].get<std::int64_t>());
  REQUIRE(map.tokens.size() == values()["map"]["tokens"].size());
  for (std::size_t i = 0; i < map.tokens.size(); ++i) {
    const Json& row = values()["map"]["tokens"][i];
    CHECK(map.tokens[i] == MapToken{row[0].get<std::int32_t>(), row[1].get<std::int64_t>(),
                                    row[2].get<std::int64_t>()});
  }
  CHECK(map.filter.ngrams == values()["map"]["ngrams"].get<std::int64_t>());
  const Profile profile = profile_of(options, map, true);
  CHECK(profile.units == expected["units"].get<std::int64_t>());
  CHECK(profile.units + profile.held_out == 240);
  REQUIRE(profile.token_counts.size() == expected["tokens"].size());
  for (std::size_t i = 0; i < profile.token_counts.size(); ++i) {
    const Json& row = expected["tokens"][i];
    CHECK(profile.token_counts[i] == TokenCount{row[0].get<std::int32_t>(),
                                                row[1].get<std::int64_t>(),
                                                row[2].get<std::int64_t>()});
  }
  std::size_t cells = 0;
  for (const std::int64_t df : profile.bigram_df) cells += df > 0 ? 1 : 0;
  CHECK(cells == expected["bigram_cells"].size());
  for (const Json& row : expected["bigram_cells"]) {
    CHECK(profile.bigram_df[row[0].get<std::size_t>()] == row[1].get<std::int64_t>());
  }
  require_sums(profile.sketch_sum, expected["sketch_sum"]);
  require_sums(profile.group_sum, expected["group_sum"]);
  CHECK(digest_of_list(profile.sketch_products) ==
        expected["sketch_products_sha256"].get<std::string>());
  CHECK(digest_of_list(profile.group_products) ==
        expected["group_products_sha256"].get<std::string>());
}

TEST_CASE("lenses have the sums and histograms that Python computes") {
  const RunOptions options{.inputs = {fixture_log()}, .threads = 2};
  const Profile profile = profile_of(options, map_of(options), true);
  const Json& lenses = values()["profile"]["lenses"];
  for (std::size_t i = 0; i < kLensCount; ++i) {
    const std::string name(name_of(static_cast<Lens>(i)));
    const LensState& state = profile.lenses[i];
    INFO(name);
    if (!lenses.contains(name)) {
      CHECK(state.units == 0);
      continue;
    }
    const Json& expected = lenses[name];
    CHECK(state.units == expected["units"].get<std::int64_t>());
    CHECK(state.zeros == expected["zeros"].get<std::int64_t>());
    require_sums(std::vector<Int128>{state.x, state.y, state.xx, state.xy, state.yy},
                 expected["sums"]);
    REQUIRE(state.bins.size() == expected["bins"].size());
    for (const Json& row : expected["bins"]) {
      CHECK(state.bins.at(row[0].get<std::int32_t>()) == row[1].get<std::int64_t>());
    }
  }
}

}  // namespace loraproof::drift::test
