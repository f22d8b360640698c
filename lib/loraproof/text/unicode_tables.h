// SPDX-License-Identifier: Apache-2.0
// Raw Unicode data as Hugging Face `tokenizers` sees it; generated into unicode_tables.cpp by
// scripts/generate_unicode_tables.py. Everything else uses unicode.h and nfc.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace loraproof::text::tables {

constexpr int kBlockBits = 7;

// flags of c = kFlagsOfKind[kKindOfBlock[kBlockOfCodePoint[c >> 7] << 7 | (c & 127)]]
extern const std::uint16_t kFlagsOfKind[];
extern const std::uint16_t kBlockOfCodePoint[];
extern const std::uint8_t kKindOfBlock[];

// Non-zero canonical combining classes, sorted by code point.
extern const std::uint32_t kCombiningCodePoint[];
extern const std::uint8_t kCombiningClass[];
extern const std::size_t kCombiningCount;

// Full canonical decompositions without Hangul, sorted; entry i is text[offset[i], offset[i + 1]).
extern const std::uint32_t kDecomposedCodePoint[];
extern const std::uint16_t kDecomposedOffset[];
extern const std::uint32_t kDecomposedText[];
extern const std::size_t kDecomposedCount;

// Primary compositions without Hangul: first << 32 | second, sorted.
extern const std::uint64_t kComposedPair[];
extern const std::uint32_t kComposedCodePoint[];
extern const std::size_t kComposedCount;

}  // namespace loraproof::text::tables
