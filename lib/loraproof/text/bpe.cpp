// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/bpe.h"

#include <algorithm>
#include <fmt/format.h>
#include <queue>

#include "loraproof/core/json.h"
#include "loraproof/text/byte_alphabet.h"
#include "loraproof/text/component.h"
#include "loraproof/text/unicode.h"

namespace loraproof::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, the "space" of SentencePiece
constexpr std::size_t kFew = 48;  // up to here a scan for the best pair beats a heap

// "<0xE2>" stands for a byte, whatever its own characters are.
bool names_a_byte(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

std::string unk_token_of(const JsonObject& model) {
  return model.has("unk_token") ? model.string("unk_token") : std::string();
}

}  // namespace

void MergeTable::reserve(std::size_t count) {
  std::size_t slots = 16;
  while (slots * 2 < count * 3) slots *= 2;
  slots_.assign(slots, Slot{});
  mask_ = slots - 1;
}

void MergeTable::insert(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t key = key_of(left, right);
  std::size_t at = slot_of(key);
  while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask_;
  slots_[at] = {key, merge};
}

Bpe::Bpe(TokenizerDocument& document, bool byte_level) {
  const JsonObject root(document.root, document.file);
  const JsonObject model = root.object("model");
  // The oldest files have no type; a vocabulary with merges is BPE then, as tokenizers guesses too.
  if (model.has("type") && model.string("type") != "BPE") throw unsupported_type(model, "BPE");
  if (!document.has_vocab)
    throw model.error("vocab", "the BPE vocabulary is missing", "an object of token: id");
  if (!document.has_merges) throw model.error("merges", "the BPE merges are missing", "an array");
  vocab_ = Vocabulary(document);
  read_options(model);
  read_merges(document);
  whole_ = std::make_unique<std::atomic<Whole>[]>(static_cast<std::size_t>(vocab_.id_limit()));
  for (std::int32_t id = 0; id < vocab_.id_limit(); ++id) {
    if (vocab_.has(id)) longest_word_ = std::max(longest_word_, vocab_.token(id).size());
  }
  for (char32_t c = 0; c < 128; ++c) {
    const char text = static_cast<char>(c);
    ascii_ids_[c] = vocab_.find(std::string_view(&text, 1));
  }
  for (int byte = 0; byte < 256; ++byte)
    byte_ids_[byte] = vocab_.find(fmt::format("<0x{:02X}>", byte));
  // Where unknown characters are dropped, what stood around them become neighbours.
  const bool drops =
      unk_id_ < 0 && !(byte_fallback_ && std::all_of(byte_ids_.begin(), byte_ids_.end(),
                                                     [](auto id) { return id >= 0; }));
  if (drops) cuts_ = false;
  space_mark_ = vocab_.find(kSpaceMark) >= 0;
  if (byte_level) use_bytes();
}

void Bpe::read_options(const JsonObject& model) {
  require_known_fields(
      model, {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
              "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (model.number_or("dropout", 0.0) != 0.0) {
    throw model.error("dropout", "BPE dropout makes tokens random", "null or 0",
                      brief(*model.find("dropout")));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const std::string text = model.string_or(key, ""); !text.empty()) {
      throw model.error(key, "this BPE option is not supported", "null or an empty string",
                        brief(Json(text)));
    }
  }
  fuse_unk_ = model.boolean_or("fuse_unk", false);
  byte_fallback_ = model.boolean_or("byte_fallback", false);
  ignore_merges_ = model.boolean_or("ignore_merges", false);
  if (model.has("unk_token")) {
    unk_id_ = vocab_.find(model.string("unk_token"));
    if (unk_id_ < 0) {
      throw model.error("unk_token", "the unknown token is not in the vocabulary",
                        "a token of /model/vocab", brief(*model.find("unk_token")));
    }
  }
}

void Bpe::read_merges(TokenizerDocument& document) {
  const std::string unk = unk_token_of(JsonObject(document.root, document.file).object("model"));
  cuts_ = !ignore_merges_;
  merges_.reserve(document.merges.size());
  std::string both;
  std::uint32_t rank = 0;
  for (const auto& [left, right] : document.merges) {
    both.assign(left).append(right);
    const std::int32_t left_id = vocab_.find(left);
    const std::int32_t right_id = vocab_.find(right);
    const std::int32_t id = vocab_.find(both);
    if (left_id < 0 || right_id < 0 || id < 0) {
      const std::string_view missing = left_id < 0    ? left
                                       : right_id < 0 ? right
                                                      : std::string_view(both);
      throw input_error({.message = "a merge rule names a token that is not in the vocabulary",
                         .file = document.file,
                         .where = fmt::format("/model/merges/{}", rank),
                         .found = brief(Json(std::string(missing)), 40)});
    }
    const auto not_text = [&](std::string_view token) {
      return token.empty() || token == unk || names_a_byte(token);
    };
    if (not_text(left) || not_text(right)) {
      cuts_ = false;
    } else {
      joins_.set(pair_of(left.back(), right.front()));
    }
    merges_.insert(left_id, right_id, {rank++, id});
  }
}

void Bpe::use_bytes() {
  std::array<std::int32_t, 256> ids{};
  std::string symbol;
  bool complete = true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    symbol.clear();
    append_utf8(symbol, alphabet_char_of(static_cast<std::uint8_t>(byte)));
    ids[byte] = vocab_.find(symbol);
    complete = complete && ids[byte] >= 0;
  }
  if (!complete && (unk_id_ >= 0 || byte_fallback_)) return;
  takes_bytes_ = true;
  byte_ids_ = ids;
  cuts_ = false;
  words_.reserve(static_cast<std::size_t>(vocab_.size()));
  longest_word_ = 0;
  std::string word;
  for (std::int32_t id = 0; id < vocab_.id_limit(); ++id) {
    word.clear();
    if (!vocab_.has(id) || !append_alphabet_bytes(word, vocab_.token(id))) continue;
    words_.insert(byte_words_.add(word), id);
    longest_word_ = std::max(longest_word_, word.size());
  }
  if (!complete) return;
  // Half a megabyte of which a text uses little, where the table of all merges misses every cache.
  byte_merges_.resize(256 * 256);
  for (std::size_t pair = 0; pair < byte_merges_.size(); ++pair)
    byte_merges_[pair] = merges_.find(byte_ids_[pair >> 8], byte_ids_[pair & 0xFF]);
}

// Exact, as no merge joins what ends in the one byte to what begins with the other. An unknown
// character waits to fuse with the next, but not where one of the two is known.
bool Bpe::may_cut(std::string_view word, std::size_t at) const {
  if (joins_[pair_of(word[at - 1], word[at])]) return false;
  const auto known = [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 128 && ascii_ids_[byte] >= 0;
  };
  return known(word[at - 1]) || known(word[at]) ||
         (space_mark_ && word.substr(at).starts_with(kSpaceMark));
}

std::size_t Bpe::part_end(std::string_view word, std::size_t begin) const {
  if (!cuts_ || !space_mark_) return word.size();
  for (std::size_t at = word.find(kSpaceMark, begin + 1); at != std::string_view::npos;
       at = word.find(kSpaceMark, at + kSpaceMark.size())) {
    if (may_cut(word, at)) return at;
  }
  return word.size();
}

void Bpe::encode(std::string_view part, const WordCache::Place& place, WordCache& cache,
                 std::vector<std::int32_t>& out) const {
  if (cache.find(place, out)) return;
  const std::size_t before = out.size();
  if (cuts_) {
    encode_pieces(part, cache, out);
  } else {
    encode(part, out);
  }
  cache.keep(place, out.data() + before, out.size() - before);
}

// "self.stream" is new, "self" is not.
void Bpe::encode_pieces(std::string_view word, WordCache& cache,
                        std::vector<std::int32_t>& out) const {
  std::size_t begin = 0;
  for (std::size_t at = 1; at <= word.size(); ++at) {
    if (at < word.size() && !may_cut(word, at)) continue;
    const std::string_view piece = word.substr(begin, at - begin);
    begin = at;
    if (piece.size() == word.size()) return encode(word, out);
    const WordCache::Place place = cache.place_of(piece);
    if (cache.find(place, out)) continue;
    const std::size_t before = out.size();
    encode(piece, out);
    cache.keep(place, out.data() + before, out.size() - before);
  }
}

void Bpe::encode(std::string_view part, std::vector<std::int32_t>& out) const {
  const std::int32_t whole =
      part.size() <= longest_word_ ? (takes_bytes_ ? words_ : vocab_.map()).find(part) : -1;
  if (whole < 0) return merge(part, out);
  std::atomic<Whole>& known = whole_[static_cast<std::size_t>(whole)];
  if (ignore_merges_ || known.load(std::memory_order_relaxed) == Whole::Yes) {
    out.push_back(whole);
    return;
  }
  const std::size_t before = out.size();
  merge(part, out);
  const bool yes = out.size() == before + 1 && out.back() == whole;
  known.store(yes ? Whole::Yes : Whole::No, std::memory_order_relaxed);
}

void Bpe::merge(std::string_view word, std::vector<std::int32_t>& out) const {
  if (word.size() <= kFew && !byte_merges_.empty()) return merge_bytes(word, out);
  std::array<std::int32_t, kFew> few;
  std::vector<std::int32_t> many(word.size() > kFew ? word.size() : 0);
  std::int32_t* symbols = many.empty() ? few.data() : many.data();
  const std::size_t count = symbols_of(word, symbols);
  if (count > kFew) return merge_many({symbols, count}, out);
  std::array<MergeTable::Merge, kFew> merges;
  for (std::size_t i = 0; i + 1 < count; ++i) merges_.prefetch(symbols[i], symbols[i + 1]);
  for (std::size_t i = 0; i + 1 < count; ++i) merges[i] = merges_.find(symbols[i], symbols[i + 1]);
  merge_few(symbols, merges.data(), count, out);
}

// As bpe/model.rs merge_word: an unknown character waits, so that neighbours can fuse with it, and
// bytes of a fallback do not flush it (they come out before it).
std::size_t Bpe::symbols_of(std::string_view word, std::int32_t* symbols) const {
  std::int32_t* end_of_symbols = symbols;
  const auto push = [&](std::int32_t id) { *end_of_symbols++ = id; };
  if (takes_bytes_) {
    for (const char c : word) {
      if (const std::int32_t id = byte_ids_[static_cast<unsigned char>(c)]; id >= 0) push(id);
    }
    return static_cast<std::size_t>(end_of_symbols - symbols);
  }
  bool unk_waits = false;
  for (std::size_t pos = 0; pos < word.size();) {
    const auto lead = static_cast<unsigned char>(word[pos]);
    const std::size_t end = lead < 0x80 ? pos + 1 : decode_at(word, pos).end;
    const std::string_view character = word.substr(pos, end - pos);
    const std::int32_t id = lead < 0x80 ? ascii_ids_[lead] : vocab_.find(character);
    pos = end;
    if (id >= 0) {
      if (unk_waits) push(unk_id_);
      unk_waits = false;
      push(id);
      continue;
    }
    const auto byte_id = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
    if (byte_fallback_ &&
        std::all_of(character.begin(), character.end(), [&](char c) { return byte_id(c) >= 0; })) {
      for (const char c : character) push(byte_id(c));
      continue;
    }
    if (unk_id_ < 0) continue;  // dropped, as tokenizers drops it
    if (unk_waits && !fuse_unk_) push(unk_id_);
    unk_waits = true;
  }
  if (unk_waits) push(unk_id_);
  return static_cast<std::size_t>(end_of_symbols - symbols);
}

void Bpe::merge_bytes(std::string_view word, std::vector<std::int32_t>& out) const {
  std::array<std::int32_t, kFew> symbols;
  std::array<MergeTable::Merge, kFew> merges;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const auto byte = static_cast<unsigned char>(word[i]);
    symbols[i] = byte_ids_[byte];
    if (i > 0) merges[i - 1] = byte_merges_[static_cast<unsigned char>(word[i - 1]) << 8 | byte];
  }
  merge_few(symbols.data(), merges.data(), word.size(), out);
}

// merges: of symbols i and i + 1.
void Bpe::merge_few(std::int32_t* symbols, MergeTable::Merge* merges, std::size_t count,
                    std::vector<std::int32_t>& out) const {
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == UINT32_MAX) break;
    symbols[best] = merges[best].id;
    std::copy(symbols + best + 2, symbols + count, symbols + best + 1);
    std::copy(merges + best + 1, merges + count - 1, merges + best);
    --count;
    if (best > 0) merges[best - 1] = merges_.find(symbols[best - 1], symbols[best]);
    if (best + 1 < count) merges[best] = merges_.find(symbols[best], symbols[best + 1]);
  }
  out.insert(out.end(), symbols, symbols + count);
}

void Bpe::merge_many(std::span<const std::int32_t> symbols, std::vector<std::int32_t>& out) const {
  struct Node {
    std::int32_t id;  // -1: merged into its left neighbour
    std::int32_t previous;
    std::int32_t next;  // -1: none
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t left;
    bool operator<(const Candidate& o) const {
      return rank != o.rank ? rank > o.rank : left > o.left;
    }
  };
  const auto count = static_cast<std::int32_t>(symbols.size());
  std::vector<Node> nodes(symbols.size());
  for (std::int32_t i = 0; i < count; ++i)
    nodes[i] = {symbols[i], i - 1, i + 1 < count ? i + 1 : -1};
  std::vector<Candidate> initial;
  const auto merge_at = [&](std::int32_t left) {
    return merges_.find(nodes[left].id, nodes[nodes[left].next].id);
  };
  for (std::int32_t i = 0; i + 1 < count; ++i) {
    if (const auto merge = merge_at(i); merge.rank != UINT32_MAX)
      initial.push_back({merge.rank, i});
  }
  std::priority_queue<Candidate> heap(std::less<Candidate>(), std::move(initial));
  const auto offer = [&](std::int32_t left) {
    if (left < 0 || nodes[left].next < 0) return;
    if (const auto merge = merge_at(left); merge.rank != UINT32_MAX) heap.push({merge.rank, left});
  };
  while (!heap.empty()) {
    const Candidate top = heap.top();
    heap.pop();
    Node& left = nodes[top.left];
    if (left.id < 0 || left.next < 0) continue;
    const auto merge = merge_at(top.left);
    if (merge.rank != top.rank) continue;  // one of the two has grown since
    Node& right = nodes[left.next];
    left.id = merge.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) nodes[left.next].previous = top.left;
    offer(left.previous);
    offer(top.left);
  }
  for (std::int32_t i = 0; i >= 0 && i < count; i = nodes[i].next) out.push_back(nodes[i].id);
}

}  // namespace loraproof::text
