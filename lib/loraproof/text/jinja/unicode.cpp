// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/jinja/unicode.h"

#include <algorithm>
#include <cstdint>

#include "loraproof/text/jinja/unicode_tables.h"

namespace loraproof::text::jinja {
namespace {

bool in_table(const CodeRange* table, std::size_t size, char32_t c) {
  const auto* end = table + size;
  const auto* it =
      std::upper_bound(table, end, c, [](char32_t v, const CodeRange& r) { return v < r.first; });
  return it != table && c <= (it - 1)->last;
}

struct CaseTable {
  const CaseRun* runs;
  std::size_t run_count;
  const CaseSpecial* special;
  std::size_t special_count;
};
const CaseTable kLower{kLowerRuns, kLowerRuns_size, kLowerSpecial, kLowerSpecial_size};
const CaseTable kUpper{kUpperRuns, kUpperRuns_size, kUpperSpecial, kUpperSpecial_size};
const CaseTable kTitle{kTitleRuns, kTitleRuns_size, kTitleSpecial, kTitleSpecial_size};

/// The run that holds `c`, or nullptr. Runs of stride 2 may interleave with the next one, so two
/// candidates are looked at.
const CaseRun* find_run(const CaseRun* runs, std::size_t size, char32_t c) {
  const auto* run = std::upper_bound(runs, runs + size, c,
                                     [](char32_t v, const CaseRun& r) { return v < r.first; });
  for (int back = 0; back < 2 && run != runs; ++back) {
    --run;
    if (c <= run->last && (c - run->first) % run->stride == 0) return run;
  }
  return nullptr;
}

/// Appends the mapping of `c`; false (and nothing appended) when it maps to itself.
bool append_mapped(std::string& out, const CaseTable& table, char32_t c) {
  const auto* end = table.special + table.special_count;
  const auto* special = std::lower_bound(
      table.special, end, c, [](const CaseSpecial& s, char32_t v) { return s.code < v; });
  if (special != end && special->code == c) {
    for (const char32_t to : special->to) {
      if (to != 0) append_point(out, to);
    }
    return true;
  }
  const auto* run = find_run(table.runs, table.run_count, c);
  if (run == nullptr) return false;
  append_point(out, static_cast<char32_t>(static_cast<std::int64_t>(c) + run->delta));
  return true;
}

void append_upper(std::string& out, char32_t c) {
  if (!append_mapped(out, kUpper, c)) append_point(out, c);
}

/// The title table holds only what differs from the upper case, a few of them mapping to
/// themselves.
void append_title(std::string& out, char32_t c) {
  if (is_title(c) || (c >= 0x10D0 && c <= 0x10FF)) {
    append_point(out, c);
  } else if (!append_mapped(out, kTitle, c)) {
    append_upper(out, c);
  }
}

bool is_cased(char32_t c) { return is_lower(c) || is_upper(c) || is_title(c); }

constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kFinalSigma = 0x3C2;

/// Python's rule for a capital sigma at `i`: final after a cased letter and not before one.
bool sigma_is_final(const std::u32string& text, std::size_t i) {
  const auto ignorable = [](char32_t c) {
    return in_table(kCaseIgnorable, kCaseIgnorable_size, c);
  };
  std::size_t before = i;
  while (before > 0 && ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  std::size_t after = i + 1;
  while (after < text.size() && ignorable(text[after])) ++after;
  return after == text.size() || !is_cased(text[after]);
}

void append_lower(std::string& out, const std::u32string& text, std::size_t i) {
  if (text[i] == kCapitalSigma) {
    append_point(out, sigma_is_final(text, i) ? kFinalSigma : char32_t{0x3C3});
  } else {
    if (!append_mapped(out, kLower, text[i])) append_point(out, text[i]);
  }
}

template <typename In>
std::string_view strip_if(std::string_view text, bool left, bool right, In in) {
  while (left && !text.empty()) {
    const std::size_t n = std::min(char_bytes(text.front()), text.size());
    if (!in(decode(text.substr(0, n))[0])) break;
    text.remove_prefix(n);
  }
  while (right && !text.empty()) {
    std::size_t start = text.size() - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
    if (!in(decode(text.substr(start))[0])) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

}  // namespace

std::size_t char_bytes(char lead) {
  const auto c = static_cast<unsigned char>(lead);
  return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

bool valid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      ++i;
      continue;
    }
    const std::size_t n = char_bytes(text[i]);
    if (c < 0xC2 || c > 0xF4 || i + n > text.size()) return false;
    char32_t point = c & (0xFF >> (n + 1));
    for (std::size_t k = 1; k < n; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      point = (point << 6) | (next & 0x3F);
    }
    const char32_t least = n == 2 ? 0x80 : n == 3 ? 0x800 : 0x10000;
    if (point < least || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
    i += n;
  }
  return true;
}

std::size_t count_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::u32string decode(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t n = char_bytes(text[i]);
    char32_t point = n == 1 ? c : c & (0xFF >> (n + 1));
    for (std::size_t k = 1; k < n && i + k < text.size(); ++k) {
      point = (point << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    }
    out.push_back(point);
    i += n;
  }
  return out;
}

void append_point(std::string& out, char32_t p) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (p < 0x80) {
    put(p);
  } else if (p < 0x800) {
    put(0xC0 | (p >> 6)), put(0x80 | (p & 0x3F));
  } else if (p < 0x10000) {
    put(0xE0 | (p >> 12)), put(0x80 | ((p >> 6) & 0x3F)), put(0x80 | (p & 0x3F));
  } else {
    put(0xF0 | (p >> 18)), put(0x80 | ((p >> 12) & 0x3F));
    put(0x80 | ((p >> 6) & 0x3F)), put(0x80 | (p & 0x3F));
  }
}

std::string encode(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t p : text) append_point(out, p);
  return out;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}
bool is_alpha(char32_t c) { return in_table(kAlpha, kAlpha_size, c); }
bool is_decimal(char32_t c) { return in_table(kDecimal, kDecimal_size, c); }
bool is_digit(char32_t c) { return is_decimal(c) || in_table(kOtherDigit, kOtherDigit_size, c); }
bool is_numeric(char32_t c) {
  return is_digit(c) || in_table(kOtherNumeric, kOtherNumeric_size, c);
}
bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }
bool is_printable(char32_t c) { return !in_table(kUnprintable, kUnprintable_size, c); }
bool is_lower(char32_t c) { return find_run(kLowercase, kLowercase_size, c) != nullptr; }
bool is_upper(char32_t c) { return find_run(kUppercase, kUppercase_size, c) != nullptr; }
bool is_title(char32_t c) { return in_table(kTitlecase, kTitlecase_size, c); }

std::string to_lower(std::string_view text) {
  std::string out;
  const auto points = decode(text);
  for (std::size_t i = 0; i < points.size(); ++i) append_lower(out, points, i);
  return out;
}

std::string to_upper(std::string_view text) {
  std::string out;
  for (const char32_t c : decode(text)) append_upper(out, c);
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  const auto points = decode(text);
  bool after_cased = false;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (after_cased) {
      append_lower(out, points, i);
    } else {
      append_title(out, points[i]);
    }
    after_cased = is_cased(points[i]);
  }
  return out;
}

std::string to_capital(std::string_view text) {
  std::string out;
  const auto points = decode(text);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (i == 0) {
      append_title(out, points[0]);
    } else {
      append_lower(out, points, i);
    }
  }
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  const auto points = decode(text);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (is_upper(points[i])) {
      append_lower(out, points, i);
    } else if (is_lower(points[i])) {
      append_upper(out, points[i]);
    } else {
      append_point(out, points[i]);
    }
  }
  return out;
}

std::string_view strip(std::string_view text, bool left, bool right) {
  return strip_if(text, left, right, is_space);
}

std::string_view strip(std::string_view text, std::string_view chars, bool left, bool right) {
  const auto set = decode(chars);
  return strip_if(text, left, right,
                  [&](char32_t c) { return set.find(c) != std::u32string::npos; });
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  std::string line;
  const auto points = decode(text);
  const auto breaks = [](char32_t c) {
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
  };
  bool open = false;
  for (std::size_t i = 0; i < points.size(); ++i) {
    open = true;
    if (!breaks(points[i])) {
      append_point(line, points[i]);
      continue;
    }
    if (keep_ends) append_point(line, points[i]);
    if (points[i] == '\r' && i + 1 < points.size() && points[i + 1] == '\n') {
      if (keep_ends) line.push_back('\n');
      ++i;
    }
    lines.push_back(std::move(line));
    line.clear();
    open = false;
  }
  if (open) lines.push_back(std::move(line));
  return lines;
}

}  // namespace loraproof::text::jinja
