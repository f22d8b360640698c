// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/nfc.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "loraproof/text/unicode.h"

namespace loraproof::text {
namespace {

// Hangul syllables are composed by arithmetic (Unicode Standard, section 3.12).
constexpr char32_t kSyllableBase = 0xAC00, kLeadBase = 0x1100, kVowelBase = 0x1161,
                   kTailBase = 0x11A7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

struct Mark {
  char32_t code;
  std::uint8_t combining_class;
};

std::uint8_t combining_class_of(char32_t c) {
  const auto* begin = tables::kCombiningCodePoint;
  const auto* end = begin + tables::kCombiningCount;
  const auto* found = std::lower_bound(begin, end, c);
  return found != end && *found == c ? tables::kCombiningClass[found - begin] : 0;
}

void append_mark(std::vector<Mark>& out, char32_t c) { out.push_back({c, combining_class_of(c)}); }

void append_decomposed(std::vector<Mark>& out, char32_t c) {
  if (c >= kSyllableBase && c < kSyllableBase + kSyllableCount) {
    const char32_t index = c - kSyllableBase;
    append_mark(out, kLeadBase + index / (kVowelCount * kTailCount));
    append_mark(out, kVowelBase + index % (kVowelCount * kTailCount) / kTailCount);
    if (index % kTailCount != 0) append_mark(out, kTailBase + index % kTailCount);
    return;
  }
  const auto* begin = tables::kDecomposedCodePoint;
  const auto* end = begin + tables::kDecomposedCount;
  const auto* found = std::lower_bound(begin, end, c);
  if (found == end || *found != c) return append_mark(out, c);
  for (auto i = tables::kDecomposedOffset[found - begin];
       i < tables::kDecomposedOffset[found - begin + 1]; ++i) {
    append_mark(out, tables::kDecomposedText[i]);
  }
}

// Stable order of each run of non-starters by combining class.
void reorder(std::vector<Mark>& marks) {
  auto run = marks.begin();
  while (run != marks.end()) {
    if (run->combining_class == 0) {
      ++run;
      continue;
    }
    const auto end = std::find_if(run, marks.end(), [](Mark m) { return m.combining_class == 0; });
    std::stable_sort(run, end,
                     [](Mark a, Mark b) { return a.combining_class < b.combining_class; });
    run = end;
  }
}

// The composition of a pair, or 0.
char32_t composed(char32_t first, char32_t second) {
  if (first >= kLeadBase && first < kLeadBase + kLeadCount && second >= kVowelBase &&
      second < kVowelBase + kVowelCount) {
    return kSyllableBase + ((first - kLeadBase) * kVowelCount + (second - kVowelBase)) * kTailCount;
  }
  if (first >= kSyllableBase && first < kSyllableBase + kSyllableCount &&
      (first - kSyllableBase) % kTailCount == 0 && second > kTailBase &&
      second < kTailBase + kTailCount) {
    return first + (second - kTailBase);
  }
  const std::uint64_t pair = (static_cast<std::uint64_t>(first) << 32) | second;
  const auto* begin = tables::kComposedPair;
  const auto* end = begin + tables::kComposedCount;
  const auto* found = std::lower_bound(begin, end, pair);
  return found != end && *found == pair ? tables::kComposedCodePoint[found - begin] : 0;
}

// Canonical composition in place: a mark joins the last starter unless one of its own class (or
// a starter) stands between them.
void compose(std::vector<Mark>& marks) {
  std::size_t starter = SIZE_MAX;
  std::size_t out = 0;
  int last_class = -1;  // class of the last kept mark after the starter; -1: none
  for (const Mark mark : marks) {
    if (starter != SIZE_MAX && last_class < static_cast<int>(mark.combining_class)) {
      if (const char32_t both = composed(marks[starter].code, mark.code); both != 0) {
        marks[starter].code = both;
        continue;
      }
    }
    if (mark.combining_class == 0) {
      starter = out;
      last_class = -1;
    } else {
      last_class = mark.combining_class;
    }
    marks[out++] = mark;
  }
  marks.resize(out);
}

}  // namespace

bool is_surely_nfc(std::string_view text) {
  for (std::size_t pos = 0; pos < text.size();) {
    if (static_cast<unsigned char>(text[pos]) < 0x80) {
      ++pos;
      continue;
    }
    const DecodedChar c = decode_at(text, pos);
    if ((flags_of(c.code) & kNfcRelevant) != 0) return false;
    pos = c.end;
  }
  return true;
}

std::string nfc(std::string_view text) {
  if (is_surely_nfc(text)) return std::string(text);
  std::vector<Mark> marks;
  marks.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const DecodedChar c = decode_at(text, pos);
    append_decomposed(marks, c.code);
    pos = c.end;
  }
  reorder(marks);
  compose(marks);
  std::string out;
  out.reserve(text.size());
  for (const Mark mark : marks) append_utf8(out, mark.code);
  return out;
}

}  // namespace loraproof::text
