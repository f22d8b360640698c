// SPDX-License-Identifier: Apache-2.0
// Keyed hashes: SipHash-2-4 under keys that are derived from one secret, one key for each purpose.
// What a profile shows of rare things is cells of such hashes; the secret is never in a file.
#pragma once

#include <bit>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace loraproof::drift {

struct SipKey {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
};

namespace detail {
struct SipState {
  std::uint64_t a, b, c, d;
  explicit SipState(const SipKey& key)
      : a(key.k0 ^ 0x736f6d6570736575U),
        b(key.k1 ^ 0x646f72616e646f6dU),
        c(key.k0 ^ 0x6c7967656e657261U),
        d(key.k1 ^ 0x7465646279746573U) {}
  [[gnu::always_inline]] void round() {
    a += b;
    b = std::rotl(b, 13) ^ a;
    a = std::rotl(a, 32);
    c += d;
    d = std::rotl(d, 16) ^ c;
    a += d;
    d = std::rotl(d, 21) ^ a;
    c += b;
    b = std::rotl(b, 17) ^ c;
    c = std::rotl(c, 32);
  }
  [[gnu::always_inline]] void absorb(std::uint64_t word) {
    d ^= word;
    round();
    round();
    a ^= word;
  }
  [[nodiscard]] [[gnu::always_inline]] std::uint64_t finish() {
    c ^= 0xFF;
    for (int i = 0; i < 4; ++i) round();
    return a ^ b ^ c ^ d;
  }
};
}  // namespace detail

/// SipHash-2-4 of any bytes.
[[nodiscard]] std::uint64_t siphash(const SipKey& key, std::string_view bytes);

/// The same of one or two 64-bit words as 8 or 16 bytes in little-endian order.
[[nodiscard]] [[gnu::always_inline]] inline std::uint64_t siphash_word(const SipKey& key,
                                                                       std::uint64_t word) {
  detail::SipState state(key);
  state.absorb(word);
  state.absorb(std::uint64_t{8} << 56);
  return state.finish();
}
[[nodiscard]] [[gnu::always_inline]] inline std::uint64_t siphash_words(const SipKey& key,
                                                                        std::uint64_t first,
                                                                        std::uint64_t second) {
  detail::SipState state(key);
  state.absorb(first);
  state.absorb(second);
  state.absorb(std::uint64_t{16} << 56);
  return state.finish();
}

/// What the hashes of a profile depend on. Not printed, not stored: files have its id.
class Key {
 public:
  /// The key that everybody has: its hashes spread, they hide nothing.
  [[nodiscard]] static Key published();
  /// A secret of 16 to 4096 bytes (a trailing line end is not part of it). Input Error otherwise.
  [[nodiscard]] static Key from_file(const std::filesystem::path& path);
  [[nodiscard]] static Key from_secret(std::string_view secret);

  /// "published", or 16 hex digits.
  [[nodiscard]] const std::string& id() const { return id_; }
  /// The key for a purpose ("sketch"): the first 16 bytes of SHA-256("loraproof.drift/1 " + purpose
  /// + "\n" + secret), as two little-endian words.
  [[nodiscard]] SipKey derive(std::string_view purpose) const;

 private:
  Key(std::string secret, std::string id) : secret_(std::move(secret)), id_(std::move(id)) {}
  std::string secret_;
  std::string id_;
};

}  // namespace loraproof::drift
