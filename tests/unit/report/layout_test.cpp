// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/writers/layout.h"

#include <string>
#include <utility>

#include "support/catch.h"

namespace loraproof::report {

TEST_CASE("printable keeps text and escapes what a terminal would obey") {
  const std::pair<std::string, std::string> cases[] = {
      {"plain", "plain"},
      {"\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80", "\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80"},
      {"a\nb\tc\r", "a\\nb\\tc\\r"},
      {"\x1b[31m", "\\x1b[31m"},
      {std::string("\0", 1), "\\x00"},
      {"\x7f", "\\x7f"},
      {"\xC2\x9B", "\\x9b"},                         // C1 control sequence introducer
      {"\xE2\x80\xAE", "\\u202e"},                   // right-to-left override
      {"\xE2\x80\xA8", "\\u2028"},                   // line separator
      {"\xEF\xBB\xBF", "\\ufeff"},                   // byte order mark
      {"\xff", "\\xff"},                             // never valid
      {"\xC0\xAF", "\\xc0\\xaf"},                    // overlong slash
      {"\xE0\x80\xAF", "\\xe0\\x80\\xaf"},           // overlong slash
      {"\xED\xA0\x80", "\\xed\\xa0\\x80"},           // surrogate
      {"\xF4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // above U+10FFFF
      {"x\xE4\xBD", "x\\xe4\\xbd"},                  // cut short
  };
  for (const auto& [text, expected] : cases) CHECK(printable(text) == expected);
}

TEST_CASE("wrapped breaks between words and indents") {
  CHECK(wrapped("- ", "one two three", 4, 10) == "- one two\n    three\n");
  CHECK(wrapped("", "unbreakable-word x", 2, 5) == "unbreakable-word\n  x\n");
  CHECK(wrapped("", "two  spaces", 0, 80) == "two  spaces\n");
  CHECK(wrapped("lead ", "", 0, 80) == "lead \n");
}

TEST_CASE("width counts code points") {
  CHECK(display_width("\xC3\xA9t\xC3\xA9") == 3);
  CHECK(padded("\xC3\xA9", 3) == "\xC3\xA9  ");
  CHECK(padded("long", 2) == "long");
}

}  // namespace loraproof::report
