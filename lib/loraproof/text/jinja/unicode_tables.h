// SPDX-License-Identifier: Apache-2.0
// Tables behind unicode.h; the .cpp files are made by tests/oracles/chat_template_unicode.py.
#pragma once

#include <cstddef>
#include <cstdint>

namespace loraproof::text::jinja {

struct CodeRange {
  char32_t first, last;
};
/// Every `stride`-th code point from first to last maps to itself plus `delta`.
struct CaseRun {
  char32_t first, last;
  std::uint32_t stride;
  std::int32_t delta;
};
/// One code point that maps to two or three; unused places are 0.
struct CaseSpecial {
  char32_t code;
  char32_t to[3];
};

extern const CodeRange kAlpha[], kDecimal[], kOtherDigit[], kOtherNumeric[], kUnprintable[],
    kTitlecase[], kCaseIgnorable[];
extern const std::size_t kAlpha_size, kDecimal_size, kOtherDigit_size, kOtherNumeric_size,
    kUnprintable_size, kTitlecase_size, kCaseIgnorable_size;
extern const CaseRun kLowercase[], kUppercase[], kLowerRuns[], kUpperRuns[], kTitleRuns[];
extern const std::size_t kLowercase_size, kUppercase_size, kLowerRuns_size, kUpperRuns_size,
    kTitleRuns_size;
extern const CaseSpecial kLowerSpecial[], kUpperSpecial[], kTitleSpecial[];
extern const std::size_t kLowerSpecial_size, kUpperSpecial_size, kTitleSpecial_size;

}  // namespace loraproof::text::jinja
