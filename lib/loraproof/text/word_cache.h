// SPDX-License-Identifier: Apache-2.0
// One thread's memory of short words and their ids. A word always has the same ids, so it changes
// nothing but the time that merging takes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace loraproof::text {

/// For one tokenizer and one thread at a time.
class WordCache {
 public:
  static constexpr std::size_t kWordBytes = 22;
  static constexpr std::size_t kIds = 10;

  /// Appends the ids of the word; false when it isn't known.
  bool find(std::string_view word, std::vector<std::int32_t>& out) const {
    if (word.size() > kWordBytes) return false;
    const Entry& entry = entries_[slot_of(word)];
    if (entry.size != word.size() ||
        std::memcmp(entry.word.data(), word.data(), word.size()) != 0) {
      return false;
    }
    out.insert(out.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
    return true;
  }

  /// Remembers a word (not empty) if it is short; one that had its place is forgotten.
  void keep(std::string_view word, const std::int32_t* ids, std::size_t count) {
    if (word.size() > kWordBytes || count > kIds) return;
    Entry& entry = entries_[slot_of(word)];
    entry.size = static_cast<std::uint8_t>(word.size());
    entry.count = static_cast<std::uint8_t>(count);
    std::memcpy(entry.word.data(), word.data(), word.size());
    std::copy(ids, ids + count, entry.ids.begin());
  }

 private:
  struct Entry {
    std::uint8_t size = 0;  // 0: free
    std::uint8_t count = 0;
    std::array<char, kWordBytes> word;
    std::array<std::int32_t, kIds> ids;
  };
  static_assert(sizeof(Entry) == 64, "one cache line");
  static constexpr std::size_t kEntries = std::size_t{1} << 14;  // 1 MiB: stays in the core's cache

  [[nodiscard]] static std::size_t slot_of(std::string_view word) {
    constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15U;  // 2^64 over the golden ratio
    std::uint64_t state = word.size();
    for (std::size_t at = 0; at < word.size(); at += 8) {
      std::uint64_t part = 0;
      std::memcpy(&part, word.data() + at, word.size() - at < 8 ? word.size() - at : 8);
      state = (state ^ part) * kMultiplier;
      state ^= state >> 32;
    }
    return static_cast<std::size_t>(state * kMultiplier >> 50);
  }

  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

}  // namespace loraproof::text
