// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/writers/layout.h"

#include <fmt/format.h>

namespace loraproof::report {
namespace {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;  // 0: not valid UTF-8 here
};

CodePoint decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return {};
  char32_t value = first & (0x7F >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3F);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kSmallest[length] || value > 0x10FFFF || surrogate) return {};
  return {value, length};
}

bool is_unsafe(char32_t c) {
  const bool control = c < 0x20 || (c >= 0x7F && c <= 0x9F);
  const bool line_end = c == 0x2028 || c == 0x2029;
  const bool direction = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
                         c == 0x200E || c == 0x200F || c == 0x061C;
  return control || line_end || direction || c == 0xFEFF;
}

std::string escape(char32_t c) {
  switch (c) {
    case U'\n': return "\\n";
    case U'\r': return "\\r";
    case U'\t': return "\\t";
    default: break;
  }
  const auto code = static_cast<unsigned>(c);
  return code < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint next = decode(text);
    if (next.bytes == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
      text.remove_prefix(1);
      continue;
    }
    if (is_unsafe(next.value)) {
      out += escape(next.value);
    } else {
      out += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes);
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (char c : text) width += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return width;
}

std::string padded(std::string_view text, std::size_t width) {
  const std::size_t have = display_width(text);
  return std::string(text) + std::string(have < width ? width - have : 0, ' ');
}

std::string wrapped(std::string_view lead, std::string_view text, std::size_t indent,
                    std::size_t width) {
  std::string out(lead);
  std::size_t column = display_width(lead);
  bool at_start = true;
  while (!text.empty()) {
    // A run of spaces stays as it is inside a line: it may be part of a quoted answer.
    const std::size_t word_begin = text.find_first_not_of(' ');
    if (word_begin == std::string_view::npos) break;
    std::size_t word_end = text.find(' ', word_begin);
    if (word_end == std::string_view::npos) word_end = text.size();
    const std::string_view gap = at_start ? "" : text.substr(0, word_begin);
    const std::string_view word = text.substr(word_begin, word_end - word_begin);
    if (!at_start && column + gap.size() + display_width(word) > width) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
    } else {
      out += gap;
      column += gap.size();
    }
    out += word;
    column += display_width(word);
    at_start = false;
    text.remove_prefix(word_end);
  }
  return out + '\n';
}

}  // namespace loraproof::report
