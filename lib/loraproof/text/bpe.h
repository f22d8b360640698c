// SPDX-License-Identifier: Apache-2.0
// Byte-pair encoding of one word, as `tokenizers` does it: symbols from characters (or bytes), then
// merges in rank order. O(n log n) for a word of n symbols; words without any spaces may be whole
// texts.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/json_fwd.h"
#include "loraproof/text/tokenizer_document.h"
#include "loraproof/text/vocabulary.h"
#include "loraproof/text/word_cache.h"

namespace loraproof::text {

/// (left id, right id) → (rank, merged id), open addressing.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank = UINT32_MAX;  // UINT32_MAX: no such merge
    std::int32_t id = -1;
  };
  void reserve(std::size_t count);
  /// A later rule for the same pair replaces the earlier.
  void insert(std::int32_t left, std::int32_t right, Merge merge);
  [[nodiscard]] Merge find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t at = slot_of(key);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.key == key) return slot.merge;
      if (slot.key == kFree) return {};
    }
  }
  /// For a find() soon after.
  void prefetch(std::int32_t left, std::int32_t right) const {
    __builtin_prefetch(&slots_[slot_of(key_of(left, right))]);
  }

 private:
  static constexpr std::uint64_t kFree = UINT64_MAX;  // no pair: ids are below 2^31
  struct Slot {
    std::uint64_t key = kFree;
    Merge merge;
  };
  [[nodiscard]] static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint32_t>(right);
  }
  [[nodiscard]] std::size_t slot_of(std::uint64_t key) const {
    const std::uint64_t mixed = key * 0x9E3779B97F4A7C15U;
    return static_cast<std::size_t>(mixed ^ (mixed >> 32)) & mask_;
  }
  std::vector<Slot> slots_ = std::vector<Slot>(1);
  std::size_t mask_ = 0;
};

class Bpe {
 public:
  /// Reads /model and takes the document's vocabulary and merges. `byte_level`: words arrive as raw
  /// bytes, wanted when the last pre-tokenizer is ByteLevel; see takes_bytes().
  Bpe(TokenizerDocument& document, bool byte_level);

  /// True: encode() expects raw bytes. False although byte_level was asked: the vocabulary lacks a
  /// byte and defines what to do then, so words must arrive in the byte alphabet.
  [[nodiscard]] bool takes_bytes() const { return takes_bytes_; }

  /// Where the part of a word (not empty) that begins at `begin` ends: ids of parts are those of
  /// the word, one after another.
  [[nodiscard]] std::size_t part_end(std::string_view word, std::size_t begin) const;
  /// Appends the ids of one part. Thread-safe.
  void encode(std::string_view part, std::vector<std::int32_t>& out) const;
  /// The same by way of a cache, which belongs to this model and the calling thread. `place`: the
  /// part's, in this cache.
  void encode(std::string_view part, const WordCache::Place& place, WordCache& cache,
              std::vector<std::int32_t>& out) const;

  [[nodiscard]] const Vocabulary& vocabulary() const { return vocab_; }
  [[nodiscard]] std::optional<std::int32_t> unk_id() const {
    return unk_id_ < 0 ? std::nullopt : std::optional(unk_id_);
  }

 private:
  enum class Whole : std::uint8_t { Unknown, Yes, No };

  void read_options(const JsonObject& model);
  void read_merges(TokenizerDocument& document);
  void use_bytes();
  void encode_pieces(std::string_view word, WordCache& cache, std::vector<std::int32_t>& out) const;
  /// May what stands before word[at] be encoded without what follows?
  [[nodiscard]] bool may_cut(std::string_view word, std::size_t at) const;
  [[nodiscard]] static std::size_t pair_of(char last, char first) {
    return static_cast<std::size_t>(static_cast<unsigned char>(last)) << 8 |
           static_cast<unsigned char>(first);
  }
  void merge(std::string_view word, std::vector<std::int32_t>& out) const;
  /// The symbols of a word before any merge; `symbols` has room for one each byte. How many.
  std::size_t symbols_of(std::string_view word, std::int32_t* symbols) const;
  void merge_bytes(std::string_view word, std::vector<std::int32_t>& out) const;
  void merge_few(std::int32_t* symbols, MergeTable::Merge* merges, std::size_t count,
                 std::vector<std::int32_t>& out) const;
  void merge_many(std::span<const std::int32_t> symbols, std::vector<std::int32_t>& out) const;

  Vocabulary vocab_;
  MergeTable merges_;
  bool takes_bytes_ = false;
  bool ignore_merges_ = false;
  bool fuse_unk_ = false;
  bool byte_fallback_ = false;
  std::int32_t unk_id_ = -1;
  bool cuts_ = false;             // a word may be cut where may_cut() says
  bool space_mark_ = false;       // U+2581 is a token
  std::bitset<256 * 256> joins_;  // pair_of() of the bytes between which some merge joins
  std::size_t longest_word_ = 0;  // of a whole word in words_
  std::array<std::int32_t, 256> byte_ids_{};    // by raw byte (takes_bytes_) or of "<0xHH>"
  std::vector<MergeTable::Merge> byte_merges_;  // of two raw bytes; empty: some byte has no token
  std::array<std::int32_t, 128> ascii_ids_{};   // of one-character tokens, without takes_bytes_
  StringArena byte_words_;                      // owns the keys of words_
  TokenMap words_;  // raw byte strings; without takes_bytes_ the vocabulary's own map is used
  std::unique_ptr<std::atomic<Whole>[]> whole_;  // by id: does the whole word merge into this id?
};

}  // namespace loraproof::text
