// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/unicode.h"

#include "loraproof/text/byte_alphabet.h"
#include "loraproof/text/nfc.h"
#include "support/catch.h"

namespace loraproof::text {

TEST_CASE("invalid UTF-8 is found at its first byte") {
  CHECK(valid_utf8_prefix("") == 0);
  CHECK(is_valid_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 long enough for the fast path"));
  CHECK(valid_utf8_prefix("12345678\x80") == 8);
  CHECK(valid_utf8_prefix("1234567\xC3") == 7);
  CHECK_FALSE(is_valid_utf8("\xC0\x80"));          // overlong
  CHECK_FALSE(is_valid_utf8("\xE0\x9F\xBF"));      // overlong
  CHECK_FALSE(is_valid_utf8("\xED\xA0\x80"));      // surrogate
  CHECK_FALSE(is_valid_utf8("\xF4\x90\x80\x80"));  // above U+10FFFF
  CHECK_FALSE(is_valid_utf8("\xF5\x80\x80\x80"));
}

// Expected values: Python bytes.decode("utf-8", "replace"), which follows the same rule.
TEST_CASE("each maximal invalid subpart becomes one U+FFFD") {
  const std::string mark = "\xEF\xBF\xBD";
  CHECK(lossy_utf8("abc") == "abc");
  CHECK(lossy_utf8("\xFC") == mark);
  CHECK(lossy_utf8("\xE2\x82") == mark);
  CHECK(lossy_utf8("\xE2\x82z") == mark + "z");
  CHECK(lossy_utf8("\xF0\x9F\x98\xF0\x9F") == mark + mark);
  CHECK(lossy_utf8("\xED\xA0\x80") == mark + mark + mark);
  CHECK(lossy_utf8("\xC0\x80") == mark + mark);
  CHECK(lossy_utf8("\xF4\x90\x80") == mark + mark + mark);
  CHECK(lossy_utf8("a\xE0\x80\xAFz") == "a" + mark + mark + mark + "z");
}

TEST_CASE("decoding and encoding a code point are inverse") {
  for (const char32_t c :
       {0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF}) {
    std::string text;
    append_utf8(text, c);
    CHECK(is_valid_utf8(text));
    CHECK(decode_at(text, 0).code == c);
    CHECK(decode_at(text, 0).end == text.size());
    CHECK(previous_start(text, text.size()) == 0);
  }
}

TEST_CASE("character classes are those of tokenizers, not of one Unicode version") {
  CHECK((flags_of('a') & (kLetter | kLowerish | kWord)) == (kLetter | kLowerish | kWord));
  CHECK((flags_of(0x180E) & kSpace) ==
        0);  // Mongolian vowel separator: a space only before Unicode 6.3
  CHECK((flags_of(0x85) & kSpace) != 0);
  CHECK((flags_of(0x3000) & kSpace) != 0);
  CHECK((flags_of(0x200B) & kSpace) == 0);
  CHECK((flags_of(0x11DE0) & kDigit) != 0);  // Unicode 17, which only the Digits step knows
  CHECK((flags_of(0x11DE0) & kNumber) == 0);
  CHECK((flags_of(0x301) & kMark) != 0);
  CHECK((flags_of(0x10FFFF) & (kLetter | kNumber | kSpace | kWord)) == 0);
}

TEST_CASE("NFC composes and orders, with the data of Unicode 9") {
  CHECK(nfc("e\u0301") == "\u00e9");
  CHECK(nfc("\u212b") == "\u00c5");
  CHECK(nfc("\u0344") == "\u0308\u0301");         // excluded from composition
  CHECK(nfc("\u1100\u1161\u11a8") == "\uac01");   // Hangul
  CHECK(nfc("\uac00\u11a7") == "\uac00\u11a7");   // not a trailing consonant
  CHECK(nfc("a\u0301\u0316") == "\u00e1\u0316");  // order, then compose past the other class
  CHECK(nfc("a\u0300\u0301") == "\u00e0\u0301");  // blocked by the same class
  CHECK(nfc("\u0301a") == "\u0301a");             // nothing before it
  CHECK(nfc("\u1df6\u0301a\u1df6\u0300") == "\u1df6\u0301a\u1df6\u0300");  // class 0 in Unicode 9
  CHECK(nfc("\U00011935\U00011930") == "\U00011935\U00011930");  // composed since Unicode 13
  CHECK(is_surely_nfc("plain \u00e9\u6f22\uac00"));
  CHECK_FALSE(is_surely_nfc("e\u0301"));
}

TEST_CASE("the byte alphabet maps every byte both ways") {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  std::string mapped;
  append_alphabet(mapped, bytes);
  CHECK(mapped.substr(0, 2) == "\u0100");
  CHECK(alphabet_char_of(' ') == 0x120);
  CHECK(alphabet_char_of('A') == 'A');
  CHECK(alphabet_char_of(173) == 0x143);
  std::string back = "kept";
  CHECK(append_alphabet_bytes(back, mapped));
  CHECK(back == "kept" + bytes);
  CHECK_FALSE(append_alphabet_bytes(back, "a b"));
  CHECK_FALSE(append_alphabet_bytes(back, "\u6f22"));
  CHECK(back == "kept" + bytes);
}

}  // namespace loraproof::text
