// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "loraproof/text/jinja/print.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text::jinja {
namespace {

using View = std::u32string_view;

/// Line ends become "\n", and one at the very end goes (Jinja's keep_trailing_newline is off).
std::u32string normalise(std::string_view source) {
  std::u32string out;
  const auto points = decode(source);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < points.size() && points[i + 1] == '\n') ++i;
    } else {
      out.push_back(points[i]);
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool ascii_digit(char32_t c) { return c >= '0' && c <= '9'; }

int hex_digit(char32_t c) {
  if (ascii_digit(c)) return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A') + 10;
  return -1;
}

class Lexer {
 public:
  explicit Lexer(std::u32string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (pos_ < source_.size()) root();
    Token end;
    end.line = line_;
    tokens_.push_back(std::move(end));
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail_here(std::string message) const {
    throw Failure(FailureKind::Error, std::move(message), line_);
  }
  [[nodiscard]] char32_t at(std::size_t i) const { return i < source_.size() ? source_[i] : 0; }
  [[nodiscard]] bool looking_at(std::string_view text, std::size_t from) const {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (at(from + i) != static_cast<char32_t>(text[i])) return false;
    }
    return true;
  }
  [[nodiscard]] std::size_t skip_space(std::size_t i) const {
    while (i < source_.size() && is_space(source_[i])) ++i;
    return i;
  }
  /// Moves on to `to`, counting lines and noting whether a fresh line starts there.
  void advance(std::size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), U'\n'));
    line_starting_ = to > pos_ && source_[to - 1] == '\n';
    pos_ = to;
  }
  void push(TokenType type, std::string text = "", Value number = {}) {
    tokens_.push_back({type, std::move(text), std::move(number), line_});
  }

  /// Emits the text before a tag after taking off what the tag's sign or lstrip_blocks removes.
  void push_data(View text, char32_t sign, bool variable) {
    if (sign == '-') {
      while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    } else if (sign != '+' && !variable) {
      const auto newline = text.rfind(U'\n');
      const std::size_t start = newline == View::npos ? 0 : newline + 1;
      if ((start > 0 || line_starting_) && start < text.size() &&
          std::all_of(text.begin() + static_cast<std::ptrdiff_t>(start), text.end(), is_space)) {
        text = text.substr(0, start);
      }
    }
    if (!text.empty()) push(TokenType::Data, encode(text));
  }

  /// Text up to the next tag, and that tag.
  void root() {
    std::size_t tag = pos_;
    while (tag < source_.size() &&
           !(source_[tag] == '{' &&
             (at(tag + 1) == '%' || at(tag + 1) == '{' || at(tag + 1) == '#'))) {
      ++tag;
    }
    const View text = View(source_).substr(pos_, tag - pos_);
    if (tag == source_.size()) {
      push(TokenType::Data, encode(text));
      advance(tag);
      return;
    }
    const char32_t kind = source_[tag + 1];
    std::size_t after = tag + 2;
    const char32_t sign = at(after) == '-' || at(after) == '+' ? at(after) : 0;
    if (sign != 0) ++after;
    push_data(text, sign, kind == '{');
    advance(tag);
    if (kind == '#') {
      advance(after);
      comment();
    } else if (const auto body = kind == '%' ? raw_begin(after) : std::nullopt) {
      advance(*body);
      raw();
    } else {
      push(kind == '%' ? TokenType::BlockBegin : TokenType::VariableBegin);
      advance(after);
      tag_tokens(kind == '%');
    }
  }

  [[nodiscard]] std::optional<std::size_t> raw_begin(std::size_t i) const {
    i = skip_space(i);
    if (!looking_at("raw", i)) return std::nullopt;
    i = skip_space(i + 3);
    if (looking_at("-%}", i)) return skip_space(i + 3);
    if (looking_at("%}", i)) return i + 2;
    return std::nullopt;
  }

  /// The end of a block or comment tag at `i` ("%}" or "#}" with its sign), or nothing.
  [[nodiscard]] std::optional<std::size_t> tag_end(std::size_t i, std::string_view end) const {
    if (at(i) == '+' && looking_at(end, i + 1)) return i + 3;
    if (at(i) == '-' && looking_at(end, i + 1)) return skip_space(i + 3);
    if (looking_at(end, i)) return i + 2 + (at(i + 2) == '\n' ? 1 : 0);
    return std::nullopt;
  }

  void comment() {
    for (std::size_t i = pos_; i < source_.size(); ++i) {
      if (const auto end = tag_end(i, "#}")) return advance(*end);
    }
    fail_here("missing end of comment tag");
  }

  void raw() {
    for (std::size_t i = pos_; i < source_.size(); ++i) {
      if (!looking_at("{%", i)) continue;
      std::size_t j = i + 2;
      const char32_t sign = at(j) == '-' || at(j) == '+' ? at(j) : 0;
      if (sign != 0) ++j;
      j = skip_space(j);
      if (!looking_at("endraw", j)) continue;
      if (const auto end = tag_end(skip_space(j + 6), "%}")) {
        push_data(View(source_).substr(pos_, i - pos_), sign, false);
        return advance(*end);
      }
    }
    fail_here("missing end of raw directive");
  }

  void tag_tokens(bool block) {
    std::string open;
    while (pos_ < source_.size()) {
      if (open.empty()) {
        std::optional<std::size_t> end;
        if (block) {
          end = tag_end(pos_, "%}");
        } else if (looking_at("-}}", pos_)) {
          end = skip_space(pos_ + 3);
        } else if (looking_at("}}", pos_)) {
          end = pos_ + 2;
        }
        if (end) {
          push(block ? TokenType::BlockEnd : TokenType::VariableEnd);
          return advance(*end);
        }
      }
      one_token(open);
    }
  }

  void one_token(std::string& open) {
    const char32_t c = source_[pos_];
    if (is_space(c)) return advance(skip_space(pos_));
    if (ascii_digit(c)) return number();
    if (c == '_' || is_alnum(c)) return name();
    if (c == '\'' || c == '"') return string(c);
    op(open);
  }

  [[nodiscard]] std::size_t digits(std::size_t i) const {
    while (ascii_digit(at(i)) || (at(i) == '_' && ascii_digit(at(i + 1)))) ++i;
    return i;
  }
  [[nodiscard]] std::string plain(std::size_t from, std::size_t to) const {
    std::string out;
    for (std::size_t i = from; i < to; ++i) {
      if (source_[i] != '_') out.push_back(static_cast<char>(source_[i]));
    }
    return out;
  }

  void number() {
    if (!(pos_ > 0 && source_[pos_ - 1] == '.')) {
      std::size_t end = digits(pos_);
      bool is_float = false;
      if (at(end) == '.' && ascii_digit(at(end + 1))) {
        end = digits(end + 1);
        is_float = true;
      }
      if (at(end) == 'e' || at(end) == 'E') {
        const std::size_t sign = at(end + 1) == '+' || at(end + 1) == '-' ? 1 : 0;
        if (ascii_digit(at(end + 1 + sign))) {
          end = digits(end + 1 + sign);
          is_float = true;
        }
      }
      if (is_float) {
        push(TokenType::Float, "", Value::number(std::strtod(plain(pos_, end).c_str(), nullptr)));
        return advance(end);
      }
    }
    integer();
  }

  void integer() {
    int base = 10;
    std::size_t start = pos_;
    std::size_t end = pos_;
    if (source_[pos_] == '0') {
      const char32_t mark = at(pos_ + 1) | 0x20;
      const int wanted = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
      const auto in_base = [&](std::size_t i) {
        const std::size_t j = at(i) == '_' ? i + 1 : i;
        const int digit = hex_digit(at(j));
        return digit >= 0 && digit < wanted ? j + 1 : 0;
      };
      if (wanted != 0 && in_base(pos_ + 2) != 0) {
        base = wanted;
        start = end = pos_ + 2;
        while (const auto next = in_base(end)) end = next;
      } else {
        end = pos_ + 1;
        while (at(end) == '0' || (at(end) == '_' && at(end + 1) == '0')) ++end;
      }
    } else {
      end = digits(pos_);
    }
    std::int64_t value = 0;
    const std::string text = plain(start, end);
    if (std::from_chars(text.data(), text.data() + text.size(), value, base).ec != std::errc()) {
      throw Failure(FailureKind::Unsupported, "integers of more than 64 bits", line_);
    }
    push(TokenType::Integer, text, Value::integer(value));
    advance(end);
  }

  void name() {
    std::size_t end = pos_;
    while (end < source_.size() && (source_[end] == '_' || is_alnum(source_[end]))) ++end;
    if (is_numeric(source_[pos_])) fail_here("invalid character in identifier");
    push(TokenType::Name, encode(View(source_).substr(pos_, end - pos_)));
    advance(end);
  }

  void string(char32_t quote) {
    std::size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_here("a string is not closed");
    push(TokenType::String, unescape(View(source_).substr(pos_ + 1, end - pos_ - 1)));
    advance(end + 1);
  }

  /// Python's "unicode-escape", applied as Jinja does to the backslash-replaced ASCII form.
  [[nodiscard]] std::string unescape(View text) const {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
      if (text[i] != '\\') {
        append_point(out, text[i++]);
        continue;
      }
      ++i;  // The lexer never ends a string right after a backslash.
      i = escape(text, i, out);
    }
    return out;
  }

  std::size_t escape(View text, std::size_t i, std::string& out) const {
    static constexpr std::string_view from = "\\'\"abfnrtv";
    static constexpr std::string_view to = "\\'\"\a\b\f\n\r\t\v";
    const char32_t c = text[i];
    if (c == '\n') return i + 1;
    if (c < 0x80 && from.find(static_cast<char>(c)) != std::string_view::npos) {
      out.push_back(to[from.find(static_cast<char>(c))]);
      return i + 1;
    }
    if (c >= '0' && c <= '7') {
      char32_t value = 0;
      std::size_t end = i;
      while (end < text.size() && end < i + 3 && text[end] >= '0' && text[end] <= '7') {
        value = value * 8 + (text[end++] - '0');
      }
      append_point(out, value);
      return end;
    }
    if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      char32_t value = 0;
      for (std::size_t k = 1; k <= count; ++k) {
        const int digit = i + k < text.size() ? hex_digit(text[i + k]) : -1;
        if (digit < 0) fail_here("a string holds a truncated escape sequence");
        value = value * 16 + static_cast<char32_t>(digit);
      }
      if (value > 0x10FFFF) fail_here("a string holds an escape beyond Unicode");
      if (value >= 0xD800 && value <= 0xDFFF) {
        throw Failure(FailureKind::Unsupported, "surrogates in a string", line_);
      }
      append_point(out, value);
      return i + count + 1;
    }
    if (c == 'N') throw Failure(FailureKind::Unsupported, "the escape \\N{...}", line_);
    out.push_back('\\');
    if (c < 0x80) {
      append_point(out, c);
      return i + 1;
    }
    // Jinja writes such a character as \xe9 first, and the two backslashes then make one.
    std::string hex(9, '\0');
    const int width = c <= 0xFF ? 2 : c <= 0xFFFF ? 4 : 8;
    std::snprintf(hex.data(), hex.size(), "%0*x", width, static_cast<unsigned>(c));
    out.append(1, width == 2 ? 'x' : width == 4 ? 'u' : 'U').append(hex.c_str());
    return i + 1;
  }

  void op(std::string& open) {
    static constexpr std::array<std::string_view, 6> two = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view one = "+-/*%~[](){}><=.:|,;";
    for (const auto text : two) {
      if (looking_at(text, pos_)) {
        push(TokenType::Operator, std::string(text));
        return advance(pos_ + 2);
      }
    }
    const char32_t c = source_[pos_];
    if (c >= 0x80 || one.find(static_cast<char>(c)) == std::string_view::npos || c == 0) {
      fail_here("unexpected character " + repr_string(encode(View(source_).substr(pos_, 1))));
    }
    const char ch = static_cast<char>(c);
    if (ch == '{') open.push_back('}');
    if (ch == '(') open.push_back(')');
    if (ch == '[') open.push_back(']');
    if (ch == '}' || ch == ')' || ch == ']') {
      if (open.empty()) fail_here(std::string("unexpected '") + ch + "'");
      if (open.back() != ch) {
        fail_here(std::string("unexpected '") + ch + "', expected '" + open.back() + "'");
      }
      open.pop_back();
    }
    push(TokenType::Operator, std::string(1, ch));
    advance(pos_ + 1);
  }

  std::u32string source_;
  std::size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(normalise(source)).run(); }

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::Data: return "template text";
    case TokenType::VariableBegin: return "begin of print statement";
    case TokenType::VariableEnd: return "end of print statement";
    case TokenType::BlockBegin: return "begin of statement block";
    case TokenType::BlockEnd: return "end of statement block";
    case TokenType::String: return "string";
    case TokenType::Integer: return "integer";
    case TokenType::Float: return "float";
    case TokenType::Name:
    case TokenType::Operator: return token.text;
    case TokenType::End: return "end of template";
  }
  return "token";
}

}  // namespace loraproof::text::jinja
