// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/text_figures.h"

#include <algorithm>
#include <array>
#include <string>

#include "loraproof/text/unicode.h"

namespace loraproof::drift {
namespace {

enum Script : std::size_t { Latin, Cyrillic, Han, Arabic, Devanagari, Kana, Hangul, OtherScript };

struct ScriptRange {
  char32_t first;
  char32_t last;
  Script script;
};
// Blocks of Unicode, sorted; letters outside of them are "other".
constexpr std::array kRanges = std::to_array<ScriptRange>({
    {0x0041, 0x024F, Latin},  {0x0400, 0x052F, Cyrillic},   {0x0600, 0x06FF, Arabic},
    {0x0750, 0x077F, Arabic}, {0x0870, 0x08FF, Arabic},     {0x0900, 0x097F, Devanagari},
    {0x1100, 0x11FF, Hangul}, {0x1C80, 0x1C8F, Cyrillic},   {0x1E00, 0x1EFF, Latin},
    {0x2C60, 0x2C7F, Latin},  {0x2DE0, 0x2DFF, Cyrillic},   {0x3005, 0x3007, Han},
    {0x3041, 0x30FF, Kana},   {0x3131, 0x318E, Hangul},     {0x31F0, 0x31FF, Kana},
    {0x3400, 0x4DBF, Han},    {0x4E00, 0x9FFF, Han},        {0xA640, 0xA69F, Cyrillic},
    {0xA720, 0xA7FF, Latin},  {0xA8E0, 0xA8FF, Devanagari}, {0xA960, 0xA97F, Hangul},
    {0xAC00, 0xD7FF, Hangul}, {0xF900, 0xFAFF, Han},        {0xFB00, 0xFB06, Latin},
    {0xFB50, 0xFDFF, Arabic}, {0xFE70, 0xFEFC, Arabic},     {0xFF21, 0xFF5A, Latin},
    {0xFF66, 0xFF9F, Kana},   {0xFFA0, 0xFFDC, Hangul},     {0x1B000, 0x1B16F, Kana},
    {0x20000, 0x323AF, Han},
});

Script script_of(char32_t c) {
  const auto after = std::upper_bound(
      kRanges.begin(), kRanges.end(), c,
      [](char32_t value, const ScriptRange& range) { return value < range.first; });
  if (after == kRanges.begin()) return OtherScript;
  const ScriptRange& range = *(after - 1);
  return c <= range.last ? range.script : OtherScript;
}

// Spellings of the control tokens of common chat templates. In user text they are either quoted or
// an attempt to leave the user's turn.
constexpr std::array<std::string_view, 28> kMarkers = {"<|im_start|>",
                                                       "<|im_end|>",
                                                       "<|endoftext|>",
                                                       "<|begin_of_text|>",
                                                       "<|end_of_text|>",
                                                       "<|eot_id|>",
                                                       "<|start_header_id|>",
                                                       "<|end_header_id|>",
                                                       "<|system|>",
                                                       "<|user|>",
                                                       "<|assistant|>",
                                                       "<|end|>",
                                                       "<|start|>",
                                                       "<|channel|>",
                                                       "<|message|>",
                                                       "<start_of_turn>",
                                                       "<end_of_turn>",
                                                       "<<SYS>>",
                                                       "<</SYS>>",
                                                       "<s>",
                                                       "</s>",
                                                       "<bos>",
                                                       "<eos>",
                                                       "[INST]",
                                                       "[/INST]",
                                                       "### Instruction:",
                                                       "### Response:",
                                                       "### System:"};

std::size_t marker_at(std::string_view rest) {
  for (const std::string_view marker : kMarkers) {
    if (rest.starts_with(marker)) return marker.size();
  }
  return 0;
}

bool is_letter(unsigned char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

std::size_t url_at(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  if (at > 0 && is_letter(static_cast<unsigned char>(text[at - 1]))) return 0;
  if (!rest.starts_with("http://") && !rest.starts_with("https://") && !rest.starts_with("www."))
    return 0;
  return std::min(rest.find_first_of(" \t\r\n<>\"'`)]}|"), rest.size());
}

// Bytes between one ``` and the next, or the end of the text.
std::int64_t bytes_in_fences(std::string_view text) {
  std::int64_t bytes = 0;
  for (std::size_t open = text.find("```"); open != text.npos;) {
    const std::size_t begin = open + 3;
    const std::size_t close = text.find("```", begin);
    bytes += static_cast<std::int64_t>(std::min(close, text.size()) - begin);
    open = close == text.npos ? close : text.find("```", close + 3);
  }
  return bytes;
}

// The class of an ASCII byte: what has to be done about it.
enum class Ascii : std::uint8_t { Plain, Letter, MaybeUrl, Digit, MaybeMarker };
constexpr std::array<Ascii, 128> kAscii = [] {
  std::array<Ascii, 128> classes{};
  for (std::size_t c = 0; c < 128; ++c) {
    const bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    classes[c] = letter ? Ascii::Letter : c >= '0' && c <= '9' ? Ascii::Digit : Ascii::Plain;
  }
  classes['h'] = classes['w'] = Ascii::MaybeUrl;
  classes['<'] = classes['['] = classes['#'] = Ascii::MaybeMarker;
  return classes;
}();

}  // namespace

TextFigures scan_text(std::string_view text) {
  TextFigures out;
  out.bytes = static_cast<std::int64_t>(text.size());
  std::array<std::int64_t, 5> ascii{};
  std::size_t url_end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      const Ascii kind = kAscii[byte];
      ++ascii[static_cast<std::size_t>(kind)];
      if (kind == Ascii::MaybeUrl && at >= url_end) {
        const std::size_t length = url_at(text, at);
        out.url_bytes += static_cast<std::int64_t>(length);
        url_end = at + length;
      } else if (kind == Ascii::MaybeMarker) {
        out.markers += marker_at(text.substr(at)) > 0 ? 1 : 0;
      }
      ++at;
      continue;
    }
    const text::DecodedChar c = text::decode_at(text, at);
    const std::uint16_t flags = text::flags_of(c.code);
    if ((flags & text::kLetter) != 0) ++out.letters[script_of(c.code)];
    if ((flags & text::kNumber) != 0) ++out.digits;
    ++out.characters;
    at = c.end;
  }
  for (const std::int64_t count : ascii) out.characters += count;
  out.letters[Latin] += ascii[static_cast<std::size_t>(Ascii::Letter)] +
                        ascii[static_cast<std::size_t>(Ascii::MaybeUrl)];
  out.digits += ascii[static_cast<std::size_t>(Ascii::Digit)];
  out.code_bytes = bytes_in_fences(text);
  return out;
}

bool begins_as_refusal(std::string_view text) {
  static constexpr std::array<std::string_view, 18> kOpenings = {
      "i'm sorry",    "i am sorry",           "sorry, ",
      "sorry but ",   "i apologize",          "i can't ",
      "i cannot ",    "i can not ",           "i'm unable ",
      "i am unable ", "i'm not able ",        "i am not able ",
      "i won't ",     "i will not ",          "i must decline",
      "as an ai ",    "unfortunately, i can", "i'm afraid i can"};
  std::string head;
  const std::size_t begin = text.find_first_not_of(" \t\r\n\"'*");
  if (begin == text.npos) return false;
  text = text.substr(begin, 64);
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text.substr(at).starts_with("\xE2\x80\x99")) {  // U+2019, the typographic apostrophe
      head += '\'';
      at += 2;
    } else {
      const char c = text[at];
      head += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    }
  }
  return std::any_of(kOpenings.begin(), kOpenings.end(),
                     [&](std::string_view opening) { return head.starts_with(opening); });
}

TextFigures& TextFigures::operator+=(const TextFigures& other) {
  bytes += other.bytes;
  characters += other.characters;
  for (std::size_t i = 0; i < letters.size(); ++i) letters[i] += other.letters[i];
  digits += other.digits;
  url_bytes += other.url_bytes;
  code_bytes += other.code_bytes;
  markers += other.markers;
  return *this;
}

}  // namespace loraproof::drift
