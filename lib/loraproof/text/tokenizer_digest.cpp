// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/tokenizer_digest.h"

#include <algorithm>
#include <array>
#include <utility>

#include "loraproof/core/digest.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/text/component.h"
#include "loraproof/text/tokenizer_document.h"

namespace loraproof::text {
namespace {

using Digests = std::map<std::string, std::string>;

// With sorted keys and without trim_offsets; the depth was limited when the document was read.
nlohmann::json canonical(const Json& value) {
  if (value.is_array()) {
    auto out = nlohmann::json::array();
    for (const Json& item : value) out.push_back(canonical(item));
    return out;
  }
  if (value.is_object()) {
    auto out = nlohmann::json::object();
    for (const auto& item : value.items()) {
      if (item.key() != "trim_offsets") out[item.key()] = canonical(item.value());
    }
    return out;
  }
  return nlohmann::json::parse(value.dump());
}

std::string digest_of(const Json& value) { return sha256_of(canonical(value).dump()); }

std::string escaped(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

// Length-prefixed, so that no two lists give the same bytes.
void update_text(Sha256& sha, std::string_view text) {
  sha.update(std::to_string(text.size()) + ":").update(text);
}

std::string vocab_digest(TokenizerDocument& document) {
  auto entries = document.vocab;
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.id, a.token) < std::pair(b.id, b.token);
  });
  Sha256 sha;
  for (const auto& entry : entries) {
    update_text(sha, entry.token);
    sha.update(std::to_string(entry.id) + "\n");
  }
  return sha.finish();
}

std::string merges_digest(const TokenizerDocument& document) {
  Sha256 sha;
  for (const auto& [left, right] : document.merges) {
    update_text(sha, left);
    update_text(sha, right);
  }
  return sha.finish();
}

void add_model(Digests& out, TokenizerDocument& document, const JsonObject& model) {
  for (const auto& item : model.json().items())
    out["/model/" + escaped(item.key())] = digest_of(item.value());
  if (document.has_vocab) out["/model/vocab"] = vocab_digest(document);
  if (document.has_merges) out["/model/merges"] = merges_digest(document);
  if (model.string_or("type", "BPE") != "BPE") return;
  out["/model/type"] = digest_of("BPE");
  for (const char* key : {"fuse_unk", "byte_fallback", "ignore_merges"}) {
    if (!model.has(key)) out[std::string("/model/") + key] = digest_of(false);
  }
  for (const char* key :
       {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* value = model.find(key);
    const bool none =
        value == nullptr ||
        (value->is_string() && *value == "" && key != std::string_view("unk_token")) ||
        (value->is_number() && value->get<double>() == 0);
    if (none) out[std::string("/model/") + key] = digest_of(nullptr);
  }
}

}  // namespace

Digests tokenizer_field_digests(const std::filesystem::path& tokenizer_json) {
  return tokenizer_field_digests(read_text_file(tokenizer_json), tokenizer_json.string());
}

Digests tokenizer_field_digests(std::string_view text, std::string_view file) {
  TokenizerDocument document = parse_tokenizer_document(text, file);
  const JsonObject root(document.root, file);
  Digests out;
  for (const char* key : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    const Json* value = root.find(key);
    out[std::string("/") + key] = digest_of(value == nullptr ? Json() : *value);
  }
  add_model(out, document, root.object("model"));
  if (root.has("added_tokens")) {
    for (const JsonObject& item : object_list(root, "added_tokens")) {
      out["/added_tokens/" + escaped(item.string("content"))] = digest_of(item.json());
    }
  }
  return out;
}

}  // namespace loraproof::text
