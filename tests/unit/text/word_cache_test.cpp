// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/word_cache.h"

#include <string>
#include <vector>

#include "support/catch.h"

using loraproof::text::WordCache;

namespace {

using Ids = std::vector<std::int32_t>;

Ids found(WordCache& cache, std::string_view word) {
  Ids ids;
  if (!cache.find(cache.place_of(word), ids)) return {-1};
  return ids;
}

void keep(WordCache& cache, std::string_view word, const Ids& ids) {
  cache.keep(cache.place_of(word), ids.data(), ids.size());
}

}  // namespace

TEST_CASE("a word cache tells words apart by every byte and by their length", "[text]") {
  for (std::size_t size = 1; size <= WordCache::kWordBytes; ++size) {
    WordCache cache;
    const std::string word(size, 'a');
    keep(cache, word, {1, 2});
    CHECK(found(cache, word) == Ids{1, 2});
    for (std::size_t at = 0; at < size; ++at) {
      for (const char other : {'b', '\0', '\xC3'}) {
        std::string changed = word;
        changed[at] = other;
        INFO("size " << size << ", byte " << at);
        CHECK(found(cache, changed) == Ids{-1});
      }
    }
    CHECK(found(cache, word + '\0') == Ids{-1});
    if (size > 1) CHECK(found(cache, word.substr(1)) == Ids{-1});
  }
}

TEST_CASE("a word cache passes over long words and many ids", "[text]") {
  WordCache cache;
  const std::string longest(WordCache::kWordBytes, 'x');
  keep(cache, longest, Ids(WordCache::kIds, 7));
  CHECK(found(cache, longest) == Ids(WordCache::kIds, 7));
  keep(cache, longest + 'x', {1});
  CHECK(found(cache, longest + 'x') == Ids{-1});
  keep(cache, "many", Ids(WordCache::kIds + 1, 7));
  CHECK(found(cache, "many") == Ids{-1});
}

TEST_CASE("a word cache forgets, but never mixes words up", "[text]") {
  WordCache cache;
  constexpr int kWords = 200'000;  // more than it holds
  for (int i = 0; i < kWords; ++i) keep(cache, "word" + std::to_string(i), {i});
  int known = 0;
  for (int i = 0; i < kWords; ++i) {
    const Ids ids = found(cache, "word" + std::to_string(i));
    CHECK((ids == Ids{i} || ids == Ids{-1}));
    known += ids == Ids{i} ? 1 : 0;
  }
  CHECK(known > 50'000);
  CHECK(known < kWords);
}
