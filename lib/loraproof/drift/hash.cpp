// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/hash.h"

#include <charconv>
#include <cstring>
#include <fmt/format.h>

#include "loraproof/core/digest.h"
#include "loraproof/core/error.h"
#include "loraproof/core/file.h"

namespace loraproof::drift {
namespace {

constexpr std::string_view kDomain = "loraproof.drift/1 ";
constexpr std::size_t kMinSecretBytes = 16;
constexpr std::size_t kMaxSecretBytes = 4096;

// SHA-256 as 64 hex digits, without the "sha256:" before them.
std::string hex_of(std::string_view purpose, std::string_view secret) {
  return Sha256()
      .update(kDomain)
      .update(purpose)
      .update(std::string_view("\n"))
      .update(secret)
      .finish()
      .substr(7);
}

std::uint64_t little_endian_word(std::string_view hex) {
  std::uint64_t word = 0;
  for (int byte = 0; byte < 8; ++byte) {
    unsigned value = 0;
    std::from_chars(hex.data() + 2 * byte, hex.data() + 2 * byte + 2, value, 16);
    word |= static_cast<std::uint64_t>(value) << (8 * byte);
  }
  return word;
}

}  // namespace

std::uint64_t siphash(const SipKey& key, std::string_view bytes) {
  detail::SipState state(key);
  const char* data = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; data += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, data, 8);
    if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
    state.absorb(word);
  }
  std::uint64_t tail = static_cast<std::uint64_t>(bytes.size() & 0xFF) << 56;
  for (std::size_t i = 0; i < left; ++i) {
    tail |= static_cast<std::uint64_t>(static_cast<unsigned char>(data[i])) << (8 * i);
  }
  state.absorb(tail);
  return state.finish();
}

Key Key::published() { return {"published", "published"}; }

Key Key::from_secret(std::string_view secret) {
  if (secret.size() < kMinSecretBytes || secret.size() > kMaxSecretBytes) {
    throw input_error({.message = "the key has the wrong length",
                       .expected = fmt::format("{} to {} bytes", kMinSecretBytes, kMaxSecretBytes),
                       .found = fmt::format("{} bytes", secret.size()),
                       .hint = "make one: head -c 32 /dev/urandom | base64 > drift.key"});
  }
  return {std::string(secret), hex_of("id", secret).substr(0, 16)};
}

Key Key::from_file(const std::filesystem::path& path) {
  std::string secret = read_text_file(path, kMaxSecretBytes + 2);
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  try {
    return from_secret(secret);
  } catch (const Error& error) {
    throw error.with_file(path.string());
  }
}

SipKey Key::derive(std::string_view purpose) const {
  const std::string hex = hex_of(purpose, secret_);
  const std::string_view view = hex;
  return {little_endian_word(view.substr(0, 16)), little_endian_word(view.substr(16, 16))};
}

}  // namespace loraproof::drift
