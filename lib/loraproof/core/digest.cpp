// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/digest.h"

#include <array>
#include <openssl/evp.h>

#include "loraproof/core/error.h"

namespace loraproof {

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Impl() {
    if (context == nullptr || EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1) {
      throw internal_error({.message = "OpenSSL offers no SHA-256"});
    }
  }
  ~Impl() { EVP_MD_CTX_free(context); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) != 1) {
    throw internal_error({.message = "SHA-256 update failed"});
  }
  return *this;
}

Sha256& Sha256::update(std::string_view text) { return update(std::as_bytes(std::span(text))); }

std::string Sha256::finish() {
  std::array<unsigned char, 32> digest{};
  if (EVP_DigestFinal_ex(impl_->context, digest.data(), nullptr) != 1) {
    throw internal_error({.message = "SHA-256 finish failed"});
  }
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text = "sha256:";
  for (unsigned char byte : digest) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

std::string sha256_of(std::span<const std::byte> bytes) { return Sha256().update(bytes).finish(); }
std::string sha256_of(std::string_view text) { return Sha256().update(text).finish(); }

}  // namespace loraproof
