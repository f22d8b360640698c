// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/tokenizer.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/text/added_tokens.h"
#include "loraproof/text/bpe.h"
#include "loraproof/text/normalizer.h"
#include "loraproof/text/post_processor.h"
#include "loraproof/text/pre_tokenizer.h"
#include "loraproof/text/token_decoder.h"
#include "loraproof/text/tokenizer_document.h"
#include "loraproof/text/unicode.h"

namespace loraproof::text {
namespace {

// With a cache, words wait until there are some: their places are on the way from memory meanwhile.
class BpeSink final : public WordSink {
 public:
  BpeSink(const Bpe& model, WordCache* cache, std::vector<std::int32_t>& out)
      : model_(model), cache_(cache), out_(out) {}

  void word(std::string_view text) override {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = model_.part_end(text, begin);
      part(text.substr(begin, end - begin));
      begin = end;
    }
  }

  void flush() override {
    for (std::size_t i = 0; i < count_; ++i)
      model_.encode(waiting_[i].text, waiting_[i].place, *cache_, out_);
    count_ = 0;
  }

 private:
  struct Waiting {
    std::string_view text;
    WordCache::Place place;
  };

  void part(std::string_view text) {
    if (cache_ == nullptr) return model_.encode(text, out_);
    waiting_[count_++] = {text, cache_->place_of(text)};
    if (count_ == waiting_.size()) flush();
  }

  const Bpe& model_;
  WordCache* cache_;  // may be null
  std::vector<std::int32_t>& out_;
  std::array<Waiting, 16> waiting_;
  std::size_t count_ = 0;
};

const Json& component_of(const JsonObject& root, std::string_view key) {
  static const Json none;
  const Json* found = root.find(key);
  return found == nullptr ? none : *found;
}

}  // namespace

struct Tokenizer::Impl {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe model;
  PostProcessor post_processor;
  TokenDecoder decoder;
  AddedTokens added;

  Impl(TokenizerDocument& document, const JsonObject& root)
      : normalizer(Normalizer::from_json(component_of(root, "normalizer"), document.file)),
        pre_tokenizer(PreTokenizer::from_json(component_of(root, "pre_tokenizer"), document.file,
                                              normalizer.shifts_text())),
        model(document, pre_tokenizer.ends_in_bytes()),
        post_processor(
            PostProcessor::from_json(component_of(root, "post_processor"), document.file)),
        decoder(TokenDecoder::from_json(component_of(root, "decoder"), document.file)),
        added(AddedTokens::from_json(
            root, normalizer,
            [this](std::string_view token) { return model.vocabulary().find(token); },
            model.vocabulary().size())) {}

  // A piece of raw text between the added tokens that are not normalized.
  void encode_piece(std::string_view raw, bool at_start, WordCache* cache,
                    std::vector<std::int32_t>& out) const {
    std::string storage;
    const std::string_view text = normalizer.apply(raw, storage);
    BpeSink sink(model, cache, out);
    if (!added.any(true)) {
      pre_tokenizer.run(text, at_start, model.takes_bytes(), sink);
      return sink.flush();
    }
    for (const AddedTokens::Piece& piece : added.split(text, true)) {
      if (piece.id >= 0) {
        out.push_back(piece.id);
      } else {
        pre_tokenizer.run(text.substr(piece.begin, piece.end - piece.begin),
                          at_start && piece.begin == 0, model.takes_bytes(), sink);
        sink.flush();
      }
    }
  }

  void encode(std::string_view utf8, WordCache* cache, std::vector<std::int32_t>& ids) const {
    if (const std::size_t good = valid_utf8_prefix(utf8); good != utf8.size()) {
      throw input_error(
          {.message = "the text is not valid UTF-8", .where = fmt::format("byte {}", good)});
    }
    if (!added.any(false)) return encode_piece(utf8, true, cache, ids);
    for (const AddedTokens::Piece& piece : added.split(utf8, false)) {
      if (piece.id >= 0) {
        ids.push_back(piece.id);
      } else {
        encode_piece(utf8.substr(piece.begin, piece.end - piece.begin), piece.begin == 0, cache,
                     ids);
      }
    }
  }
};

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_file(const std::filesystem::path& tokenizer_json) {
  return from_json(read_text_file(tokenizer_json), tokenizer_json.string());
}

Tokenizer Tokenizer::from_json(std::string_view text, std::string_view file) {
  TokenizerDocument document = parse_tokenizer_document(text, file);
  const JsonObject root(document.root, file);
  if (const std::string version = root.string_or("version", "1.0"); version != "1.0") {
    throw root.error("version", "unknown version of the tokenizer format", "1.0", version);
  }
  return Tokenizer(std::make_unique<const Impl>(document, root));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view utf8, bool add_special_tokens) const {
  std::vector<std::int32_t> ids;
  ids.reserve(utf8.size() / 3 + 8);
  impl_->encode(utf8, nullptr, ids);
  return impl_->post_processor.apply(std::move(ids), add_special_tokens);
}

void Tokenizer::encode(std::string_view utf8, WordCache& cache,
                       std::vector<std::int32_t>& out) const {
  impl_->encode(utf8, &cache, out);
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const std::int32_t id : ids) {
    std::string token;
    if (const std::string* added = impl_->added.decoded_text(id)) {
      token = *added;
    } else if (impl_->model.vocabulary().has(id)) {
      token = std::string(impl_->model.vocabulary().token(id));
    } else {
      continue;
    }
    if (skip_special_tokens && impl_->added.is_special_text(token)) continue;
    tokens.push_back(std::move(token));
  }
  return impl_->decoder.decode(std::move(tokens));
}

std::optional<std::int32_t> Tokenizer::token_to_id(std::string_view token) const {
  std::int32_t id = impl_->added.id_of(token);
  if (id < 0) id = impl_->model.vocabulary().find(token);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::optional<std::string> Tokenizer::id_to_token(std::int32_t id) const {
  if (const AddedToken* added = impl_->added.find(id)) return added->content;
  if (!impl_->model.vocabulary().has(id)) return std::nullopt;
  return std::string(impl_->model.vocabulary().token(id));
}

bool Tokenizer::is_special(std::int32_t id) const {
  const AddedToken* added = impl_->added.find(id);
  return added != nullptr && added->special;
}

std::int64_t Tokenizer::vocab_size() const {
  return impl_->model.vocabulary().size() + impl_->added.beyond_vocab();
}

std::int32_t Tokenizer::id_limit() const {
  return std::max(impl_->model.vocabulary().id_limit(), static_cast<std::int32_t>(vocab_size()));
}

std::optional<std::int32_t> Tokenizer::unk_id() const { return impl_->model.unk_id(); }

}  // namespace loraproof::text
