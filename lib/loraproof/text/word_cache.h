// SPDX-License-Identifier: Apache-2.0
// One thread's memory of short words and their ids. A word always has the same ids, so it changes
// nothing but the time that merging takes.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace loraproof::text {

/// For one tokenizer and one thread at a time.
class WordCache {
 public:
  static constexpr std::size_t kWordBytes = 23;
  static constexpr std::size_t kIds = 9;

  /// Where the ids of a word would be. Asked for some words ahead, it hides the way to memory.
  class Place {
    friend class WordCache;
    // The bytes of the word, zeros behind them, and its size in the last byte: three comparisons
    // tell words apart, where memcmp of some bytes is a call.
    std::array<std::uint64_t, 3> key{};
    std::size_t set = kNone;
  };
  [[nodiscard]] Place place_of(std::string_view word) const {
    Place place;
    if (word.size() > kWordBytes) return place;
    place.key = key_of(word);
    place.set = set_of(place.key);
    __builtin_prefetch(&sets_[place.set][0]);
    __builtin_prefetch(&sets_[place.set][1]);
    return place;
  }

  /// Appends the ids of the word; false when it isn't known.
  bool find(const Place& place, std::vector<std::int32_t>& out) {
    if (place.set == kNone) return false;
    Set& set = sets_[place.set];
    if (!same(set[0].key, place.key)) {
      if (!same(set[1].key, place.key)) return false;
      std::swap(set[0], set[1]);
    }
    out.insert(out.end(), set[0].ids.begin(), set[0].ids.begin() + set[0].count);
    return true;
  }

  /// Remembers a word (not empty) that find() doesn't know, if it is short. Of three words with one
  /// place the one that was used least recently is forgotten.
  void keep(const Place& place, const std::int32_t* ids, std::size_t count) {
    if (place.set == kNone || count > kIds) return;
    Set& set = sets_[place.set];
    set[1] = set[0];
    set[0].key = place.key;
    set[0].count = static_cast<std::uint32_t>(count);
    std::copy(ids, ids + count, set[0].ids.begin());
  }

 private:
  static constexpr std::size_t kNone = SIZE_MAX;
  using Key = std::array<std::uint64_t, 3>;
  struct alignas(64) Entry {
    Key key{};  // all zero: free
    std::uint32_t count = 0;
    std::array<std::int32_t, kIds> ids;
  };
  static_assert(sizeof(Entry) == 64, "one cache line");
  using Set = std::array<Entry, 2>;
  // 8 MiB for each thread. A profile of 1 GB takes 2 % (Llama 3) to 6 % (Gemma 3) longer with 4
  // MiB, and 2 to 4 % less with 16.
  static constexpr int kSetBits = 16;

  template <typename Word>
  [[nodiscard]] static std::uint64_t load(const char* at) {
    Word word;
    std::memcpy(&word, at, sizeof word);
    return word;
  }
  // At most 8 bytes of `size`, zeros behind them; of 4 to 7 two words that overlap.
  [[nodiscard]] static std::uint64_t load_some(const char* at, std::size_t size) {
    static_assert(std::endian::native == std::endian::little);
    if (size >= 8) return load<std::uint64_t>(at);
    if (size >= 4)
      return load<std::uint32_t>(at) | load<std::uint32_t>(at + size - 4) << 8 * (size - 4);
    const auto byte = [at](std::size_t i) { return load<std::uint8_t>(at + i) << 8 * i; };
    return size == 0 ? 0 : byte(0) | byte(size / 2) | byte(size - 1);
  }
  [[nodiscard]] static Key key_of(std::string_view word) {
    const char* at = word.data();
    Key key{load_some(at, word.size())};
    if (word.size() > 8) key[1] = load_some(at + 8, word.size() - 8);
    if (word.size() > 16) key[2] = load_some(at + 16, word.size() - 16);
    key[2] |= std::uint64_t{word.size()} << 56;
    return key;
  }

  [[nodiscard]] static bool same(const Key& a, const Key& b) {
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2])) == 0;
  }

  [[nodiscard]] static std::size_t set_of(const Key& key) {
    constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15U;  // 2^64 over the golden ratio
    std::uint64_t state =
        key[0] * kMultiplier + key[1] * 0xC2B2AE3D27D4EB4FU + key[2] * 0x165667B19E3779F9U;
    state ^= state >> 32;
    return static_cast<std::size_t>(state * kMultiplier >> (64 - kSetBits));
  }

  std::vector<Set> sets_ = std::vector<Set>(std::size_t{1} << kSetBits);
};

}  // namespace loraproof::text
