// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/tokenizer_document.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_set>

#include "loraproof/core/json.h"

namespace loraproof::text {
namespace {

constexpr std::size_t kArenaBlock = std::size_t{1} << 20;
constexpr std::size_t kMaxBytes = std::size_t{128} << 20;
constexpr std::size_t kMaxDepth = 64;

// nlohmann's SAX events. `path_` holds the open containers; a flat section is entered at
// /model/vocab (object) and /model/merges (array).
class Reader {
 public:
  explicit Reader(TokenizerDocument& document) : doc_(document) {}

  bool null() { return scalar(nullptr, "null"); }
  bool boolean(bool value) { return scalar(value, "a boolean"); }
  bool number_float(double value, const std::string&) { return scalar(value, "a fraction"); }
  bool binary(Json::binary_t&) { return false; }  // not in JSON text
  bool number_integer(std::int64_t value) {
    if (section_ == Section::Vocab) bad_id(fmt::format("{}", value));
    return scalar(value, "a number");
  }
  bool number_unsigned(std::uint64_t value) {
    if (section_ != Section::Vocab) return scalar(value, "a number");
    if (value > static_cast<std::uint64_t>(kMaxTokenId)) bad_id(fmt::format("{}", value));
    doc_.vocab.push_back({vocab_key_, static_cast<std::int32_t>(value)});
    return true;
  }
  bool string(std::string& value) {
    if (section_ == Section::Merges || section_ == Section::MergePair) return merge_text(value);
    return scalar(value, "a string");
  }

  bool key(std::string& name) {
    if (section_ == Section::Vocab) {
      vocab_key_ = doc_.arena.add(name);
      return true;
    }
    if (!open_.back().keys.insert(name).second) {
      throw input_error({.message = fmt::format("duplicate key {}", brief(Json(name))),
                         .file = doc_.file,
                         .where = pointer(),
                         .hint = "each key may stand once in an object"});
    }
    key_ = name;
    return true;
  }

  bool start_object(std::size_t) {
    refuse_container("an object");
    if (at_model_key("vocab")) {
      section_ = Section::Vocab;
      doc_.has_vocab = true;
      doc_.vocab.reserve(1 << 17);
      place(nullptr);
      return true;
    }
    return open(Json::value_t::object);
  }
  bool end_object() {
    if (section_ == Section::Vocab) {
      section_ = Section::Tree;
      return true;
    }
    open_.pop_back();
    return true;
  }
  bool start_array(std::size_t) {
    if (section_ == Section::Merges) {
      section_ = Section::MergePair;
      halves_ = 0;
      return true;
    }
    refuse_container("an array");
    if (at_model_key("merges")) {
      section_ = Section::Merges;
      doc_.has_merges = true;
      place(nullptr);
      return true;
    }
    return open(Json::value_t::array);
  }
  bool end_array() {
    if (section_ == Section::MergePair) {
      if (halves_ != 2) bad_merge(fmt::format("{} strings", halves_));
      section_ = Section::Merges;
      return true;
    }
    if (section_ == Section::Merges) {
      section_ = Section::Tree;
      return true;
    }
    open_.pop_back();
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const Json::exception& error) {
    std::string reason = error.what();
    if (const auto bracket = reason.find("] "); bracket != std::string::npos)
      reason.erase(0, bracket + 2);
    throw input_error({.message = "not valid JSON: " + reason,
                       .file = doc_.file,
                       .where = fmt::format("byte {}", byte),
                       .hint = "the file may be cut off, or may be a git-lfs pointer"});
  }

 private:
  enum class Section { Tree, Vocab, Merges, MergePair };
  struct Open {
    Json* node = nullptr;
    std::string name;
    std::unordered_set<std::string> keys;
  };

  [[nodiscard]] bool at_model_key(std::string_view name) const {
    return open_.size() == 2 && open_[1].name == "model" && key_ == name;
  }

  [[nodiscard]] std::string pointer() const {
    std::string out;
    for (std::size_t i = 1; i < open_.size(); ++i) out += "/" + open_[i].name;
    return out;
  }

  template <typename Value>
  Json* place(Value&& value) {
    if (open_.empty()) {
      doc_.root = Json(std::forward<Value>(value));
      return &doc_.root;
    }
    Json& parent = *open_.back().node;
    if (parent.is_array()) {
      auto& items = parent.get_ref<Json::array_t&>();
      items.emplace_back(std::forward<Value>(value));
      return &items.back();
    }
    auto& members = parent.get_ref<Json::object_t&>();
    members.push_back({key_, Json(std::forward<Value>(value))});
    return &members.back().second;
  }

  bool open(Json::value_t type) {
    if (open_.size() >= kMaxDepth) {
      throw input_error({.message = "JSON is nested too deeply",
                         .file = doc_.file,
                         .expected = fmt::format("at most {} levels", kMaxDepth)});
    }
    std::string name = !open_.empty() && open_.back().node->is_array()
                           ? std::to_string(open_.back().node->size())
                           : key_;
    Json* node = place(type);
    open_.push_back({node, std::move(name), {}});
    return true;
  }

  template <typename Value>
  bool scalar(Value&& value, std::string_view kind) {
    if (section_ == Section::Vocab) bad_id(std::string(kind));
    if (section_ != Section::Tree) bad_merge(std::string(kind));
    place(std::forward<Value>(value));
    return true;
  }

  void refuse_container(std::string_view kind) const {
    if (section_ == Section::Vocab) bad_id(std::string(kind));
    if (section_ != Section::Tree) bad_merge(std::string(kind));
  }

  [[noreturn]] void bad_id(std::string found) const {
    throw input_error({.message = fmt::format("the id of token {} cannot be used",
                                              brief(Json(std::string(vocab_key_)), 40)),
                       .file = doc_.file,
                       .where = "/model/vocab",
                       .expected = fmt::format("an integer from 0 to {}", kMaxTokenId),
                       .found = std::move(found)});
  }
  [[noreturn]] void bad_merge(std::string found) const {
    throw input_error({.message = "this merge rule cannot be used",
                       .file = doc_.file,
                       .where = fmt::format("/model/merges/{}", doc_.merges.size()),
                       .expected = "\"left right\" or [\"left\", \"right\"]",
                       .found = std::move(found)});
  }

  bool merge_text(const std::string& value) {
    if (section_ == Section::MergePair) {
      if (value.empty()) bad_merge("an empty part");
      if (++halves_ == 1) left_ = doc_.arena.add(value);
      if (halves_ == 2) doc_.merges.emplace_back(left_, doc_.arena.add(value));
      return true;
    }
    if (value.starts_with("#version")) return true;  // a header line of the old merges.txt
    const auto space = value.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == value.size() ||
        value.find(' ', space + 1) != std::string::npos) {
      bad_merge(brief(Json(value), 40));
    }
    const std::string_view kept = doc_.arena.add(value);
    doc_.merges.emplace_back(kept.substr(0, space), kept.substr(space + 1));
    return true;
  }

  TokenizerDocument& doc_;
  Section section_ = Section::Tree;
  std::vector<Open> open_;
  std::string key_;
  std::string_view vocab_key_;
  std::string_view left_;
  std::size_t halves_ = 0;
};

}  // namespace

std::string_view StringArena::add(std::string_view text) {
  if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < text.size()) {
    blocks_.emplace_back();
    blocks_.back().reserve(std::max(kArenaBlock, text.size()));
  }
  std::string& block = blocks_.back();
  block.append(text);
  return std::string_view(block).substr(block.size() - text.size());
}

TokenizerDocument parse_tokenizer_document(std::string_view text, std::string_view file) {
  TokenizerDocument document;
  document.file = file;
  if (text.size() > kMaxBytes) {
    throw input_error({.message = "the tokenizer file is too long",
                       .file = document.file,
                       .expected = fmt::format("at most {} bytes", kMaxBytes),
                       .found = fmt::format("{} bytes", text.size())});
  }
  Reader reader(document);
  if (!Json::sax_parse(text.begin(), text.end(), &reader)) {
    throw internal_error({.message = "the JSON parser stopped", .file = document.file});
  }
  return document;
}

}  // namespace loraproof::text
