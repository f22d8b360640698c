// SPDX-License-Identifier: Apache-2.0
// The byte-level alphabet of GPT-2: every byte as one printable character. Bytes 33-126, 161-172
// and 174-255 stand for themselves, the other 68 are U+0100 onwards in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace loraproof::text {

[[nodiscard]] char32_t alphabet_char_of(std::uint8_t byte);

/// Appends the alphabet form of `bytes`.
void append_alphabet(std::string& out, std::string_view bytes);

/// Appends the bytes that `token` (valid UTF-8) stands for; false, and nothing appended, when a
/// character is not in the alphabet.
bool append_alphabet_bytes(std::string& out, std::string_view token);

}  // namespace loraproof::text
