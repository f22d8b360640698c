// SPDX-License-Identifier: Apache-2.0
// The differences between Python's `re` (sre_parse, 3.11 to 3.14) and PCRE2, handled before
// compiling.
#include <fmt/format.h>

#include "loraproof/adapter/regex.h"
#include "loraproof/core/error.h"

namespace loraproof::adapter {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_name(std::string_view text) {
  if (text.empty() || is_digit(text.front())) return false;
  for (const char c : text) {
    if (!is_letter(c) && !is_digit(c) && c != '_') return false;
  }
  return true;
}

class Translator {
 public:
  Translator(std::string_view pattern, const PatternOrigin& origin)
      : pattern_(pattern), origin_(origin) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape(/*in_class=*/false);
      } else if (c == '[') {
        character_class();
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        brace();
      } else {
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw input_error(
        {.message = fmt::format("the regular expression cannot be used: {} at byte {}", what, at_),
         .file = origin_.file,
         .where = origin_.where,
         .expected = "a pattern of Python's re module",
         .found = std::string(pattern_.substr(0, 200)),
         .hint = "PEFT compiles this field with Python's re; correct the pattern there"});
  }
  [[nodiscard]] char peek(std::size_t ahead) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }
  [[nodiscard]] bool next_is(std::string_view text) const {
    return pattern_.substr(at_, text.size()) == text;
  }
  void copy(std::size_t count) {
    out_.append(pattern_.substr(at_, count));
    at_ += count;
  }

  /// \xHH, \uHHHH and \UHHHHHHHH become \x{...}; Python wants exactly that many digits.
  void hex_escape(std::size_t digits) {
    for (std::size_t i = 0; i < digits; ++i) {
      if (!is_hex(peek(2 + i))) refuse("an incomplete hexadecimal escape");
    }
    out_ += fmt::format("\\x{{{}}}", pattern_.substr(at_ + 2, digits));
    at_ += 2 + digits;
  }

  void escape(bool in_class) {
    const char c = peek(1);
    if (at_ + 1 >= pattern_.size()) refuse("a backslash at the end");
    if (c == 'x') return hex_escape(2);
    if (c == 'u') return hex_escape(4);
    if (c == 'U') return hex_escape(8);
    if (c == 'v') {  // PCRE2's \v is any vertical space, Python's is one character
      out_ += "\\x0b";
      at_ += 2;
      return;
    }
    if (c == 'Z' && !in_class) {  // Python: the very end only
      out_ += "\\z";
      at_ += 2;
      return;
    }
    const std::string_view known = in_class ? "abdDfnrsStwW" : "AabBdDfnrsStwW";
    if (is_letter(c) && known.find(c) == std::string_view::npos) {
      refuse(fmt::format("the escape \\{}", c));
    }
    copy(2);
  }

  void character_class() {
    copy(1);
    if (peek(0) == '^') copy(1);
    if (peek(0) == ']') copy(1);
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_[at_] == '\\') {
        escape(/*in_class=*/true);
      } else if (pattern_[at_] == '[') {  // a literal in Python; POSIX classes exist only in PCRE2
        out_ += "\\[";
        ++at_;
      } else {
        copy(1);
      }
    }
    if (at_ >= pattern_.size()) refuse("an unterminated character set");
    copy(1);
  }

  /// Python reads {,n} as {0,n}; PCRE2 before 10.43 reads it as text.
  void brace() {
    std::size_t i = 1;
    while (is_digit(peek(i))) ++i;
    const bool low = i > 1;
    bool comma = false;
    if (peek(i) == ',') {
      comma = true;
      ++i;
      while (is_digit(peek(i))) ++i;
    }
    if (peek(i) != '}' || (!low && !comma)) {  // not a quantifier: a literal brace in both
      out_ += "\\{";
      ++at_;
      return;
    }
    ++at_;
    out_ += low ? "{" : "{0";
    copy(i);
  }

  void group() {
    if (peek(1) == '*') refuse("nothing to repeat ('(*')");
    if (peek(1) != '?') return copy(1);
    for (const std::string_view plain : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"}) {
      if (next_is(plain)) return copy(plain.size());
    }
    if (next_is("(?#")) return comment();
    if (next_is("(?P<")) return named('>', 4);
    if (next_is("(?P=")) return named(')', 4);
    if (next_is("(?(")) return conditional();
    flags();
  }

  void comment() {
    const std::size_t end = pattern_.find(')', at_);
    if (end == std::string_view::npos) refuse("an unterminated comment");
    at_ = end + 1;
  }

  void named(char close, std::size_t begin) {
    const std::size_t end = pattern_.find(close, at_ + begin);
    if (end == std::string_view::npos) refuse("an unterminated group name");
    if (!is_name(pattern_.substr(at_ + begin, end - at_ - begin))) refuse("a bad group name");
    copy(end + 1 - at_);
  }

  void conditional() {
    const std::size_t end = pattern_.find(')', at_ + 3);
    if (end == std::string_view::npos) refuse("an unterminated condition");
    const std::string_view name = pattern_.substr(at_ + 3, end - at_ - 3);
    const bool number = !name.empty() && name.find_first_not_of("0123456789") == name.npos;
    if (number) return copy(end + 1 - at_);
    if (!is_name(name)) refuse("a bad condition");
    out_ += fmt::format("(?(<{}>)", name);  // never PCRE2's (?(R) or (?(DEFINE)
    at_ = end + 1;
  }

  /// (?i) only at the very start (Python 3.11), (?i:...) anywhere; 'a', 'L' and 'u' are not
  /// offered.
  void flags() {
    std::size_t i = 2;
    while (std::string_view("imsx-").find(peek(i)) != std::string_view::npos && peek(i) != '\0')
      ++i;
    const bool scoped = peek(i) == ':';
    if (i == 2 || (!scoped && peek(i) != ')')) refuse("an unknown group extension");
    if (!scoped && at_ != 0) refuse("global flags that are not at the start");
    const std::string_view letters = pattern_.substr(at_ + 2, i - 2);
    if (!scoped && letters.find('-') != letters.npos) refuse("flags switched off globally");
    if (letters.back() == '-' || letters.find('-') != letters.rfind('-')) refuse("bad flags");
    copy(i + 1);
  }

  std::string_view pattern_;
  const PatternOrigin& origin_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string pcre2_from_python(std::string_view pattern, const PatternOrigin& origin) {
  return Translator(pattern, origin).run();
}

}  // namespace loraproof::adapter
