// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/split_rule.h"

#include <array>

#include "loraproof/text/unicode.h"

namespace loraproof::text {
namespace {

struct Known {
  SplitRule rule;
  std::string_view name;
  std::string_view pattern;  // as in tokenizer.json, after JSON unescaping
};

constexpr std::array kKnown = {
    Known{SplitRule::Gpt2, "gpt2",
          R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    Known{SplitRule::Llama3, "llama3",
          R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
          R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Known{SplitRule::Qwen2, "qwen2",
          R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
          R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Known{SplitRule::O200k, "o200k",
          R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
          R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
          R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
          R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
          R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Known{SplitRule::Tekken, "tekken",
          R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
          R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
          R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Known{SplitRule::DeepSeekNumber, "deepseek numbers", R"(\p{N}{1,3})"},
    Known{SplitRule::DeepSeekCjk, "deepseek cjk", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"},
    Known{SplitRule::DeepSeekWord, "deepseek words",
          R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
          "\r\n"
          R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
          "\r\n"
          R"(]*|\s*[)"
          "\r\n"
          R"(]+|\s+(?!\S)|\s+)"},
    Known{SplitRule::ThreeDigits, "three digits", "[0-9][0-9][0-9]"},
};

// A position in valid UTF-8 with the class of the character there; flags 0 and code 0 at the end.
struct Cursor {
  std::string_view text;
  std::size_t pos = 0;
  char32_t code = 0;
  std::uint16_t flags = 0;
  std::size_t next = 0;

  Cursor(std::string_view t, std::size_t at) : text(t) { move_to(at); }
  void move_to(std::size_t at) {
    pos = at;
    if (at >= text.size()) {
      code = 0;
      flags = 0;
      next = at;
      return;
    }
    const DecodedChar c = decode_at(text, at);
    code = c.code;
    flags = flags_of(c.code);
    next = c.end;
  }
  void advance() { move_to(next); }
  [[nodiscard]] bool at_end() const { return pos >= text.size(); }
  [[nodiscard]] bool is(unsigned mask) const { return (flags & mask) != 0; }
};

constexpr bool is_newline(char32_t c) { return c == '\r' || c == '\n'; }

// End of the run of characters that have one of `mask`, from pos.
std::size_t run_end(std::string_view text, std::size_t pos, unsigned mask) {
  while (pos < text.size()) {
    const DecodedChar c = decode_at(text, pos);
    if ((flags_of(c.code) & mask) == 0) break;
    pos = c.end;
  }
  return pos;
}

// End of the run of characters that have none of `mask`.
std::size_t run_end_without(std::string_view text, std::size_t pos, unsigned mask) {
  while (pos < text.size()) {
    const DecodedChar c = decode_at(text, pos);
    if ((flags_of(c.code) & mask) != 0) break;
    pos = c.end;
  }
  return pos;
}

std::size_t skip_newlines(std::string_view text, std::size_t pos, bool slash_too) {
  while (pos < text.size() && (is_newline(text[pos]) || (slash_too && text[pos] == '/'))) ++pos;
  return pos;
}

// 's 't 're 've 'm 'll 'd at pos, or pos. With fold, case is ignored as the regex engine does it:
// U+017F (long s) folds to s.
std::size_t contraction_end(std::string_view text, std::size_t pos, bool fold) {
  if (pos + 1 >= text.size() || text[pos] != '\'') return pos;
  const auto letter = [&](std::size_t at) -> char {
    if (at >= text.size()) return '\0';
    const char c = text[at];
    return fold && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  switch (letter(pos + 1)) {
    case 's':
    case 't':
    case 'm':
    case 'd': return pos + 2;
    case 'r':
    case 'v': return letter(pos + 2) == 'e' ? pos + 3 : pos;
    case 'l': return letter(pos + 2) == 'l' ? pos + 3 : pos;
    default: return fold && text.substr(pos + 1).starts_with("\xC5\xBF") ? pos + 3 : pos;
  }
}

// \s+(?!\S)|\s+ : the whole run at the end of the text, else all but its last character, else one.
std::size_t spaces_end(std::string_view text, std::size_t pos) {
  const std::size_t end = run_end(text, pos, kSpace);
  if (end == pos || end == text.size()) return end;
  const std::size_t last = previous_start(text, end);
  return last > pos ? last : end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+
std::size_t newlines_or_spaces_end(std::string_view text, std::size_t pos) {
  for (std::size_t at = run_end(text, pos, kSpace); at > pos; --at) {
    if (is_newline(text[at - 1])) return at;
  }
  return spaces_end(text, pos);
}

std::size_t numbers_end(std::string_view text, std::size_t pos, int at_most) {
  Cursor c(text, pos);
  for (int i = 0; i < at_most && c.is(kNumber); ++i) c.advance();
  return c.pos;
}

// Position after an optional space.
std::size_t after_space(std::string_view text, std::size_t pos) {
  return text[pos] == ' ' ? pos + 1 : pos;
}

std::size_t gpt2_end(std::string_view text, std::size_t pos) {
  if (const std::size_t end = contraction_end(text, pos, false); end > pos) return end;
  const Cursor c(text, after_space(text, pos));
  if (c.is(kLetter)) return run_end(text, c.next, kLetter);
  if (c.is(kNumber)) return run_end(text, c.next, kNumber);
  if (!c.at_end() && !c.is(kSpace))
    return run_end_without(text, c.next, kSpace | kLetter | kNumber);
  return spaces_end(text, pos);
}

//  ?[^\s\p{L}\p{N}]+[\r\n]* then the spaces: what all newer patterns end with.
std::size_t symbols_or_spaces_end(std::string_view text, std::size_t pos, bool slash_too) {
  const Cursor c(text, after_space(text, pos));
  if (!c.at_end() && !c.is(kSpace | kLetter | kNumber)) {
    return skip_newlines(text, run_end_without(text, c.next, kSpace | kLetter | kNumber),
                         slash_too);
  }
  return newlines_or_spaces_end(text, pos);
}

std::size_t llama3_end(std::string_view text, std::size_t pos, int digits) {
  if (const std::size_t end = contraction_end(text, pos, true); end > pos) return end;
  const Cursor first(text, pos);
  if (first.is(kLetter)) return run_end(text, first.next, kLetter);
  if (first.is(kNumber)) return numbers_end(text, pos, digits);
  if (!is_newline(first.code)) {
    const Cursor second(text, first.next);
    if (second.is(kLetter)) return run_end(text, second.next, kLetter);
  }
  return symbols_or_spaces_end(text, pos, false);
}

// [upper]*[lower]+ from pos, or pos. Marks, modifier and other letters are in both classes, so the
// greedy first run may have to give its last such character back.
std::size_t upper_star_lower_end(std::string_view text, std::size_t pos) {
  const std::size_t upper_end = run_end(text, pos, kUpperish);
  const std::size_t lower_end = run_end(text, upper_end, kLowerish);
  if (lower_end > upper_end) return lower_end;
  for (std::size_t at = upper_end; at > pos;) {
    const std::size_t start = previous_start(text, at);
    if ((flags_of(decode_at(text, start).code) & kLowerish) != 0) return at;
    at = start;
  }
  return pos;
}

std::size_t o200k_word_end(std::string_view text, std::size_t pos) {
  const Cursor first(text, pos);
  const bool may_lead = !first.is(kLetter | kNumber) && !is_newline(first.code);
  if (may_lead && first.next < text.size()) {
    if (const std::size_t end = upper_star_lower_end(text, first.next); end > first.next)
      return end;
  }
  if (const std::size_t end = upper_star_lower_end(text, pos); end > pos) return end;
  const std::size_t start = may_lead ? first.next : pos;
  const std::size_t end = run_end(text, start, kUpperish);
  return end > start ? end : pos;
}

std::size_t o200k_end(std::string_view text, std::size_t pos, bool tekken) {
  if (const std::size_t end = o200k_word_end(text, pos); end > pos) {
    return tekken ? end : contraction_end(text, end, true);
  }
  if (const std::size_t end = numbers_end(text, pos, tekken ? 1 : 3); end > pos) return end;
  return symbols_or_spaces_end(text, pos, true);
}

constexpr bool is_ascii_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
constexpr bool is_ascii_punctuation(char32_t c) {
  return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
         (c >= 0x7B && c <= 0x7E);
}

std::size_t deepseek_word_end(std::string_view text, std::size_t pos) {
  const Cursor first(text, pos);
  if (is_ascii_punctuation(first.code)) {
    std::size_t end = pos + 1;
    while (end < text.size() && is_ascii_letter(text[end])) ++end;
    if (end > pos + 1) return end;
  }
  if (!is_newline(first.code) && !first.is(kLetter | kPunctuationOrSymbol)) {
    const Cursor second(text, first.next);
    if (second.is(kLetter | kMark)) return run_end(text, second.next, kLetter | kMark);
  }
  if (first.is(kLetter | kMark)) return run_end(text, first.next, kLetter | kMark);
  const Cursor symbol(text, after_space(text, pos));
  if (symbol.is(kPunctuationOrSymbol)) {
    return skip_newlines(text, run_end(text, symbol.next, kPunctuationOrSymbol), false);
  }
  return newlines_or_spaces_end(text, pos);
}

constexpr bool is_deepseek_cjk(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF);
}

std::size_t deepseek_cjk_end(std::string_view text, std::size_t pos) {
  Cursor c(text, pos);
  while (is_deepseek_cjk(c.code)) c.advance();
  return c.pos;
}

std::size_t three_digits_end(std::string_view text, std::size_t pos) {
  if (pos + 3 > text.size()) return pos;
  for (std::size_t i = pos; i < pos + 3; ++i) {
    if (text[i] < '0' || text[i] > '9') return pos;
  }
  return pos + 3;
}

}  // namespace

std::optional<SplitRule> split_rule_of(std::string_view regex) {
  for (const Known& known : kKnown) {
    if (known.pattern == regex) return known.rule;
  }
  return std::nullopt;
}

std::string known_split_rules() {
  std::string out;
  for (const Known& known : kKnown) out += (out.empty() ? "" : ", ") + std::string(known.name);
  return out;
}

std::size_t match_end(SplitRule rule, std::string_view text, std::size_t pos) {
  switch (rule) {
    case SplitRule::Gpt2: return gpt2_end(text, pos);
    case SplitRule::Llama3: return llama3_end(text, pos, 3);
    case SplitRule::Qwen2: return llama3_end(text, pos, 1);
    case SplitRule::O200k: return o200k_end(text, pos, false);
    case SplitRule::Tekken: return o200k_end(text, pos, true);
    case SplitRule::DeepSeekNumber: return numbers_end(text, pos, 3);
    case SplitRule::DeepSeekCjk: return deepseek_cjk_end(text, pos);
    case SplitRule::DeepSeekWord: return deepseek_word_end(text, pos);
    case SplitRule::ThreeDigits: return three_digits_end(text, pos);
  }
  return pos;
}

}  // namespace loraproof::text
