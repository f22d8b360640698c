// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/pack.h"

#include <algorithm>
#include <random>

#include "loraproof/core/error.h"
#include "support/catch.h"

using namespace loraproof;

namespace {

using Tokens = std::vector<std::int32_t>;
const nn::RopeConfig kRope;

// count, count + 1, ... : a prefix long enough to be worth sharing.
Tokens counted(std::int32_t first, std::size_t count) {
  Tokens tokens(count);
  for (std::size_t i = 0; i < count; ++i) tokens[i] = first + static_cast<std::int32_t>(i);
  return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// What the rows of a placement hold, and whether each token stands at its position after the
// segments it continues.
void check_placements(const engine::PackedSequences& packed, const std::vector<Tokens>& sequences) {
  REQUIRE(packed.placements.size() == sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const engine::Placement& place = packed.placements[i];
    const engine::Pack& pack = packed.packs.at(place.pack);
    REQUIRE(place.rows.size() == sequences[i].size());
    std::vector<std::int64_t> begins{0};
    for (std::int64_t length : pack.segments.lengths) begins.push_back(begins.back() + length);
    CHECK(begins.back() == pack.num_tokens());
    std::int64_t previous = -1;  // segment of the token before
    for (std::size_t t = 0; t < place.rows.size(); ++t) {
      const std::int64_t row = place.rows[t];
      CHECK(pack.ids.at(static_cast<std::size_t>(row)) == sequences[i][t]);
      const auto segment = std::ranges::upper_bound(begins, row) - begins.begin() - 1;
      const auto s = static_cast<std::size_t>(segment);
      CHECK(pack.starts[s] + row - begins[s] == static_cast<std::int64_t>(t));
      if (segment != previous) CHECK(pack.segments.parents[s] == previous);
      previous = segment;
    }
  }
}

}  // namespace

TEST_CASE("sequences are packed whole, in order, within the token limit") {
  const std::vector<Tokens> sequences = {{1, 2}, {3}, {4, 5, 6}, {7, 8, 9, 10, 11}, {12}};
  const auto packed =
      engine::pack_sequences(sequences, kRope, {.max_tokens = 4, .share_prefixes = false});
  const auto& packs = packed.packs;
  REQUIRE(packs.size() == 4);
  CHECK(packs[0].ids == Tokens{1, 2, 3});
  CHECK(packs[0].segments.lengths == std::vector<std::int64_t>{2, 1});
  CHECK(packs[1].num_tokens() == 3);
  CHECK(packs[2].num_tokens() == 5);  // longer than the limit: a pack of its own
  CHECK(packs[3].ids == Tokens{12});
  check_placements(packed, sequences);
}

TEST_CASE("an empty sequence is our own mistake") {
  engine::Pack pack;
  CHECK_THROWS_AS(pack.add({}), Error);
  const std::vector<Tokens> sequences = {{}};
  CHECK_THROWS_AS(engine::pack_sequences(sequences, kRope), Error);
}

TEST_CASE("a shared prefix is laid down once, branches of branches too") {
  const Tokens system = counted(100, 20), user = counted(200, 16);
  const std::vector<Tokens> sequences = {system + user + Tokens{1}, system + Tokens{9, 8},
                                         system + user + Tokens{2, 3}};
  const auto packed = engine::pack_sequences(sequences, kRope);
  REQUIRE(packed.packs.size() == 1);
  CHECK(packed.packs[0].segments.lengths == std::vector<std::int64_t>{20, 16, 1, 2, 2});
  CHECK(packed.packs[0].segments.parents == std::vector<std::int64_t>{-1, 0, 1, 1, 0});
  CHECK(packed.packs[0].starts == std::vector<std::int64_t>{0, 20, 36, 36, 20});
  check_placements(packed, sequences);
}

TEST_CASE("one prompt with two answers, an equal sequence, and one that is another's prefix") {
  const Tokens prompt = counted(50, 30);
  const std::vector<Tokens> sequences = {prompt + Tokens{1, 2}, prompt + Tokens{1, 7}, prompt,
                                         prompt + Tokens{1, 2}, prompt};
  const auto packed = engine::pack_sequences(sequences, kRope);
  check_placements(packed, sequences);
  CHECK(packed.placements[2].rows == packed.placements[4].rows);
  CHECK(packed.packs[0].num_tokens() < 30 + 9);
}

TEST_CASE("a prefix that saves fewer than 16 tokens is not shared") {
  const Tokens prefix = counted(1, 15);
  const std::vector<Tokens> two = {prefix + Tokens{90}, prefix + Tokens{91}};
  CHECK(engine::pack_sequences(two, kRope).packs[0].num_tokens() == 32);
  const std::vector<Tokens> three = {prefix + Tokens{90}, prefix + Tokens{91}, prefix + Tokens{92}};
  CHECK(engine::pack_sequences(three, kRope).packs[0].num_tokens() == 18);
}

TEST_CASE("sequences beyond the trained length of dynamic rope share nothing") {
  const nn::RopeConfig dynamic{.kind = nn::RopeConfig::Kind::Dynamic, .max_positions = 40};
  const Tokens prefix = counted(1, 30);
  const std::vector<Tokens> sequences = {prefix + counted(100, 20), prefix + counted(200, 10),
                                         prefix + counted(300, 20), prefix + counted(400, 5)};
  const auto packed = engine::pack_sequences(sequences, dynamic);
  CHECK(packed.packs[0].num_tokens() == 50 + 50 + 30 + 10 + 5);
  check_placements(packed, sequences);
}

TEST_CASE("random families of sequences: every row is found, whatever the limit") {
  std::mt19937 engine(5);
  const auto draw = [&](int most) { return static_cast<std::size_t>(engine() % most); };
  for (int round = 0; round < 50; ++round) {
    std::vector<Tokens> sequences;
    for (std::size_t i = 0; i < 30; ++i) {
      Tokens tokens = i == 0 ? Tokens{1} : sequences[draw(static_cast<int>(i))];
      tokens.resize(1 + draw(static_cast<int>(tokens.size())));
      for (std::size_t j = draw(25); j > 0; --j)
        tokens.push_back(static_cast<std::int32_t>(draw(3)));
      sequences.push_back(std::move(tokens));
    }
    for (const std::int64_t limit : {1, 40, 4096})
      check_placements(engine::pack_sequences(sequences, kRope, {.max_tokens = limit}), sequences);
  }
}
