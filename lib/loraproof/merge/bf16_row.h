// SPDX-License-Identifier: Apache-2.0
// The case that nearly all merges are made of: a BF16 row, a change in f64, a BF16 row. One pass,
// four elements at a time. For this module only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace loraproof::merge {

struct Bf16RowSums {
  std::int64_t changed = 0;
  double intended2 = 0, survived = 0, actual2 = 0, base2 = 0, inner = 0;
  /// Something in the row that this pass doesn't decide: values that may be ties, subnormal or not
  /// finite. Sums and output of the row are then to be made again.
  bool needs_care = false;
};

/// out[j] = base[j] + change[j] rounded to BF16, for `count` elements that may lie anywhere. The
/// sums are those of MergeSums.
[[nodiscard]] Bf16RowSums merge_bf16_row(const std::byte* base, const double* change,
                                         std::byte* out, std::size_t count);

}  // namespace loraproof::merge
