// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/pack.h"

#include "loraproof/core/error.h"
#include "support/catch.h"

using namespace loraproof;

TEST_CASE("sequences are packed whole, in order, within the token limit") {
  const std::vector<std::vector<std::int32_t>> sequences = {
      {1, 2}, {3}, {4, 5, 6}, {7, 8, 9, 10, 11}, {12}};
  const auto packs = engine::pack_sequences(sequences, 4);
  REQUIRE(packs.size() == 4);
  CHECK(packs[0].ids == std::vector<std::int32_t>{1, 2, 3});
  CHECK(packs[0].lengths == std::vector<std::int64_t>{2, 1});
  CHECK(packs[1].num_tokens() == 3);
  CHECK(packs[2].num_tokens() == 5);  // longer than the limit: a pack of its own
  CHECK(packs[3].ids == std::vector<std::int32_t>{12});
}

TEST_CASE("an empty sequence is our own mistake") {
  engine::Pack pack;
  CHECK_THROWS_AS(pack.add({}), Error);
}
