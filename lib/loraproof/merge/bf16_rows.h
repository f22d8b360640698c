// SPDX-License-Identifier: Apache-2.0
// The case that nearly all merges are made of: BF16 rows, a product of thin matrices, BF16 rows.
// In f32, with a bound of its error: an element that this error could round the wrong way is left
// for the caller to decide, and every other one is what f64 would have given. For this module only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace loraproof::merge {

struct LowRank;

/// The factors of consecutive rows in f32. |error of a sum| <= row_bound * column_bound.
struct Bf16Factors {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t rank = 0;
  std::int64_t stride = 0;                     ///< columns, rounded up to whole vectors
  std::vector<float> left;                     ///< [rows, rank], scaled
  std::vector<float> right;                    ///< [rank, stride], zeros at the end; columns as
  std::vector<float> row_bound, column_bound;  ///< [rows], [stride]; bf16_rows.cpp places them

  /// Rows [first, first + count) of the change. Nothing where values are so large or so small that
  /// f32 could not hold the sums.
  [[nodiscard]] static std::optional<Bf16Factors> of(const LowRank& change, std::int64_t first,
                                                     std::int64_t count);
};

/// As MergeSums has them, of the elements that were decided.
struct Bf16Sums {
  std::int64_t decided = 0;
  std::int64_t changed = 0;
  double intended2 = 0, survived = 0, actual2 = 0, base2 = 0, inner = 0;
};

struct Undecided {
  std::int64_t row = 0;  ///< of the factors
  std::int64_t column = 0;
};

/// out = base + left · right rounded to BF16, for all rows of the factors; both may lie anywhere.
/// What is added to `undecided` is to be written by the caller: may be ties, subnormal, not finite.
/// Nothing where values of the base are so large that f32 can't hold the sums.
[[nodiscard]] std::optional<Bf16Sums> merge_bf16_rows(const Bf16Factors& factors,
                                                      const std::byte* base, std::byte* out,
                                                      std::vector<Undecided>& undecided);

}  // namespace loraproof::merge
