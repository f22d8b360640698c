// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/token_facts.h"

#include "loraproof/core/digest.h"
#include "loraproof/core/error.h"
#include "loraproof/text/tokenizer_digest.h"

namespace loraproof::drift {
namespace {

constexpr std::string_view kReplacement =
    "\xEF\xBF\xBD";  // U+FFFD, what decoding makes of half characters

bool names_a_byte(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

}  // namespace

TokenFacts::TokenFacts(const text::Tokenizer& tokenizer)
    : flags_(static_cast<std::size_t>(tokenizer.id_limit())) {
  for (std::int32_t id = 0; id < tokenizer.id_limit(); ++id) {
    const std::optional<std::string> token = tokenizer.id_to_token(id);
    if (!token) continue;
    std::uint8_t& flags = flags_[static_cast<std::size_t>(id)];
    if (tokenizer.is_special(id)) flags |= kSpecial;
    const bool is_half = token->find(kReplacement) == token->npos &&
                         tokenizer.decode({&id, 1}, false).find(kReplacement) != std::string::npos;
    if (names_a_byte(*token) || is_half || tokenizer.unk_id() == id) flags |= kFallback;
  }
}

std::string tokenizer_digest(const std::filesystem::path& tokenizer_json) {
  Sha256 sha;
  for (const auto& [field, digest] : text::tokenizer_field_digests(tokenizer_json)) {
    if (field == "/post_processor" || field == "/decoder") continue;
    sha.update(field).update(std::string_view("=")).update(digest).update(std::string_view("\n"));
  }
  return sha.finish();
}

std::filesystem::path tokenizer_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  std::filesystem::path file = path / "tokenizer.json";
  if (!std::filesystem::exists(file, ignored)) {
    throw input_error({.message = "there is no tokenizer.json",
                       .file = path.string(),
                       .hint = "pass the folder of the base model, or the file"});
  }
  return file;
}

}  // namespace loraproof::drift
