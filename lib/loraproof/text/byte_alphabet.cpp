// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/byte_alphabet.h"

#include <array>

#include "loraproof/text/unicode.h"

namespace loraproof::text {
namespace {

constexpr char32_t kAlphabetEnd = 0x100 + 68;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Alphabet {
  std::array<char32_t, 256> char_of{};
  std::array<std::int16_t, kAlphabetEnd> byte_of{};

  constexpr Alphabet() {
    for (auto& byte : byte_of) byte = -1;
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const char32_t c = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
      char_of[byte] = c;
      byte_of[c] = static_cast<std::int16_t>(byte);
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

char32_t alphabet_char_of(std::uint8_t byte) { return kAlphabet.char_of[byte]; }

void append_alphabet(std::string& out, std::string_view bytes) {
  for (const char byte : bytes)
    append_utf8(out, kAlphabet.char_of[static_cast<unsigned char>(byte)]);
}

bool append_alphabet_bytes(std::string& out, std::string_view token) {
  const std::size_t before = out.size();
  for (std::size_t pos = 0; pos < token.size();) {
    const DecodedChar c = decode_at(token, pos);
    if (c.code >= kAlphabetEnd || kAlphabet.byte_of[c.code] < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(kAlphabet.byte_of[c.code]));
    pos = c.end;
  }
  return true;
}

}  // namespace loraproof::text
