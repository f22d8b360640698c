// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/added_tokens.h"

#include "loraproof/core/json.h"
#include "loraproof/text/component.h"
#include "loraproof/text/unicode.h"

namespace loraproof::text {
namespace {

constexpr std::size_t kMaxContentBytes = 1024;  // the search takes O(text · longest content)

bool ends_with_word(std::string_view text) {
  return !text.empty() &&
         (flags_of(decode_at(text, previous_start(text, text.size())).code) & kWord) != 0;
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && (flags_of(decode_at(text, 0).code) & kWord) != 0;
}

std::size_t spaces_begin(std::string_view text) {
  std::size_t at = text.size();
  while (at > 0) {
    const std::size_t start = previous_start(text, at);
    if ((flags_of(decode_at(text, start).code) & kSpace) == 0) break;
    at = start;
  }
  return at;
}

std::size_t spaces_length(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const DecodedChar c = decode_at(text, at);
    if ((flags_of(c.code) & kSpace) == 0) break;
    at = c.end;
  }
  return at;
}

AddedToken token_of(const JsonObject& item) {
  require_known_fields(
      item, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  AddedToken token;
  token.content = item.string("content");
  token.single_word = item.boolean("single_word");
  token.lstrip = item.boolean("lstrip");
  token.rstrip = item.boolean("rstrip");
  token.normalized = item.boolean("normalized");
  token.special = item.boolean("special");
  return token;
}

}  // namespace

std::int32_t NeedleTrie::child_of(std::int32_t node, unsigned char byte) const {
  for (std::int32_t child = nodes_[node].child; child >= 0; child = nodes_[child].sibling) {
    if (nodes_[child].byte == byte) return child;
  }
  return -1;
}

bool NeedleTrie::insert(std::string_view needle, std::int32_t id) {
  if (needle.empty()) return false;
  first_bytes_[static_cast<unsigned char>(needle[0])] = true;
  std::int32_t node = 0;
  for (const char c : needle) {
    const auto byte = static_cast<unsigned char>(c);
    std::int32_t child = child_of(node, byte);
    if (child < 0) {
      child = static_cast<std::int32_t>(nodes_.size());
      nodes_.push_back({-1, nodes_[node].child, -1, byte});
      nodes_[node].child = child;
    }
    node = child;
  }
  if (nodes_[node].id >= 0) return false;
  nodes_[node].id = id;
  return true;
}

NeedleTrie::Match NeedleTrie::find(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (!first_bytes_[static_cast<unsigned char>(text[begin])]) continue;
    Match best;
    std::int32_t node = 0;
    for (std::size_t at = begin; at < text.size(); ++at) {
      node = child_of(node, static_cast<unsigned char>(text[at]));
      if (node < 0) break;
      if (nodes_[node].id >= 0) best = {begin, at + 1, nodes_[node].id};
    }
    if (best.id >= 0) return best;
  }
  return {};
}

AddedTokens AddedTokens::from_json(const JsonObject& root, const Normalizer& normalizer,
                                   const std::function<std::int32_t(std::string_view)>& vocab_id,
                                   std::int32_t vocab_size) {
  AddedTokens out;
  if (!root.has("added_tokens")) return out;
  std::int32_t next_id = vocab_size;
  for (const JsonObject& item : object_list(root, "added_tokens")) {
    const AddedToken token = token_of(item);
    if (token.content.size() > kMaxContentBytes) {
      throw item.error("content", "the added token is too long",
                       std::to_string(kMaxContentBytes) + " bytes at most",
                       std::to_string(token.content.size()) + " bytes");
    }
    if (token.content.empty()) continue;  // as tokenizers does
    std::int32_t id = out.id_of(token.content);
    if (id < 0) id = vocab_id(token.content);
    if (id < 0) {
      id = next_id++;
      ++out.beyond_vocab_;
    }
    out.add(token, id, normalizer);
  }
  out.build_tries(root);
  return out;
}

void AddedTokens::add(const AddedToken& token, std::int32_t id, const Normalizer& normalizer) {
  std::string decoded = token.content;
  if (token.normalized) {
    std::string storage;
    decoded = std::string(normalizer.apply(token.content, storage));
  }
  if (token.special) special_.insert(token.content);
  by_content_[token.content] = id;
  if (!by_id_.contains(id)) order_.push_back(id);
  by_id_[id] = {token, std::move(decoded)};
}

void AddedTokens::build_tries(const JsonObject& root) {
  for (const std::int32_t id : order_) {
    const Known& known = by_id_.at(id);
    NeedleTrie& trie = known.token.normalized ? normalized_ : raw_;
    if (!trie.insert(known.decoded, id)) {
      throw root.error("added_tokens",
                       "two added tokens are searched by the same text, or one by an empty text",
                       "distinct texts", brief(Json(known.token.content)));
    }
  }
}

// Follows tokenizers added_vocabulary.rs find_matches: the search goes on after the match itself,
// not after the space that rstrip took, so a later match may begin inside that space.
std::vector<AddedTokens::Piece> AddedTokens::split(std::string_view text, bool normalized) const {
  const NeedleTrie& trie = normalized ? normalized_ : raw_;
  std::vector<Piece> out;
  std::size_t done = 0;
  std::size_t spaces_until = 0;
  for (NeedleTrie::Match match = trie.find(text, 0); match.id >= 0;
       match = trie.find(text, match.end)) {
    const AddedToken& token = by_id_.at(match.id).token;
    std::size_t begin = match.begin;
    std::size_t end = match.end;
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) {
      continue;
    }
    if (token.lstrip)
      begin = done + (begin > done ? spaces_begin(text.substr(done, begin - done)) : 0);
    if (token.rstrip) {
      // A run of spaces is measured once, even when every one of them is a token.
      if (end >= spaces_until) spaces_until = end + spaces_length(text.substr(end));
      end = spaces_until;
    }
    if (done < begin) out.push_back({done, begin, -1});
    out.push_back({begin, end, match.id});
    done = end;
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
  return out;
}

std::int32_t AddedTokens::id_of(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? -1 : found->second;
}

const AddedToken* AddedTokens::find(std::int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second.token;
}

const std::string* AddedTokens::decoded_text(std::int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second.decoded;
}

bool AddedTokens::is_special_text(std::string_view text) const {
  return special_.contains(std::string(text));
}

}  // namespace loraproof::text
