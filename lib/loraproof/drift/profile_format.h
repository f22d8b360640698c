// SPDX-License-Identifier: Apache-2.0
// What writer and reader of the profile format share. For this module only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "loraproof/drift/profile.h"
#include "loraproof/drift/wire.h"

namespace loraproof::drift {

inline constexpr std::string_view kMagic = "LRPDRIFT";
inline constexpr std::string_view kLinePrefix = "loraproof-drift:";
inline constexpr char kMapKind = 'M';
inline constexpr char kProfileKind = 'P';
inline constexpr std::size_t kChecksumBytes = 32;

/// The 32 bytes of SHA-256.
[[nodiscard]] std::string raw_sha256(std::string_view bytes);

/// `content` between its head (magic, kind, version, length) and its checksum.
[[nodiscard]] std::string framed(char kind, std::string_view content);

/// With a digest of the map that is known already (a sealed profile has the digest only).
[[nodiscard]] Fingerprint fingerprint_of(const Map& map, std::string map_digest);

/// Rows of id, df, tf, sorted by id: the distance of the id, df, tf - df.
template <typename Token>
void write_tokens(WireWriter& out, const std::vector<Token>& tokens) {
  out.count(static_cast<std::int64_t>(tokens.size()));
  std::int32_t previous = -1;
  for (const Token& token : tokens) {
    out.count(token.id - previous);
    out.count(token.df);
    out.count(token.tf - token.df);
    previous = token.id;
  }
}

}  // namespace loraproof::drift
