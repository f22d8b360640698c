// SPDX-License-Identifier: Apache-2.0
// What is added up in vector registers, against one value after another.
#include <random>
#include <vector>

#include "loraproof/drift/ngrams.h"
#include "loraproof/drift/products.h"
#include "loraproof/drift/tables.h"
#include "support/catch.h"

using namespace loraproof::drift;

TEST_CASE("hashes of all n-grams are those of each", "[drift]") {
  const SipKey key{0x0706050403020100U, 0x0F0E0D0C0B0A0908U};
  std::mt19937 random(1);
  std::vector<std::uint32_t> cells;
  std::vector<std::uint64_t> hashes;
  for (std::size_t size = 0; size < 40; ++size) {
    std::vector<std::int32_t> ids(size);
    for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % 300'000);
    bigram_cells(key, ids, cells);
    trigram_hashes(key, ids, hashes);
    REQUIRE(cells.size() == (size < 2 ? 0 : size - 1));
    REQUIRE(hashes.size() == (size < 3 ? 0 : size - 2));
    for (std::size_t i = 0; i < cells.size(); ++i)
      CHECK(cells[i] == bigram_cell(key, ids[i], ids[i + 1]));
    for (std::size_t i = 0; i < hashes.size(); ++i)
      CHECK(hashes[i] == trigram_hash(key, ids.data() + i));
  }
}

TEST_CASE("sums of products are exact for the largest entries", "[drift]") {
  std::mt19937 random(2);
  for (const std::size_t size : {std::size_t{1}, kGroups, kSketchSize}) {
    ProductSums products(size);
    std::vector<Int128> sums(triangle_size(size), 5), expected = sums;
    for (int unit = 0; unit < 100; ++unit) {
      std::vector<std::int64_t> values(size);
      for (std::int64_t& value : values) {
        if (random() % 3 > 0) continue;
        value = random() % 2 == 0 ? kMaxWeight : -static_cast<std::int64_t>(random() % kMaxWeight);
      }
      products.add(values);
      for (std::size_t i = 0; i < size; ++i) {
        for (std::size_t j = i; j < size; ++j)
          expected[triangle_at(i, j, size)] += static_cast<Int128>(values[i]) * values[j];
      }
      if (unit == 37) products.move_to(sums);  // some wait
    }
    products.move_to(sums);
    CHECK((sums == expected));
    products.move_to(sums);  // nothing is left
    CHECK((sums == expected));
  }
}

TEST_CASE("counting what a filter lacks is asking for each alone", "[drift]") {
  std::mt19937_64 random(3);
  std::vector<std::uint64_t> known(1000), asked;
  for (std::uint64_t& hash : known) hash = random() << 4;
  const NgramFilter filter = make_filter(known, 4);
  for (std::size_t i = 0; i < 333; ++i) {
    asked.push_back(i % 2 == 0 ? known[i] : random() << 4);
    std::int64_t missing = 0;
    for (const std::uint64_t& hash : asked) missing += count_missing(filter, {&hash, 1});
    CHECK(count_missing(filter, asked) == missing);
  }
  CHECK(count_missing(filter, known) == 0);
  // Half of what was asked for is not in it; hardly any of that may look as if it were.
  CHECK(count_missing(filter, asked) > 150);
  CHECK(count_missing(filter, asked) <= 166);
}
