// SPDX-License-Identifier: Apache-2.0
// The change that adapters make to one weight, as a product of two thin matrices, and the merged
// rows: W + left · right in f64, rounded once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/io/tensor_view.h"

namespace loraproof::merge {

/// left · diag(scale) · right, in the orientation in which the weight is stored. Several adapters
/// stand side by side in the inner dimension.
struct LowRank {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<double> scale;  ///< [R]: scaling times --weight, of each inner index
  /// Scale is numerator / denominator, exactly: 16/7 is no f64, and sums with it have exact ties.
  std::vector<double> numerator, denominator;
  std::vector<double> left;   ///< [rows, R], row-major, not scaled
  std::vector<double> right;  ///< [R, columns], row-major

  [[nodiscard]] std::int64_t rank() const { return static_cast<std::int64_t>(scale.size()); }
  [[nodiscard]] bool empty() const { return scale.empty(); }

  /// Adds a product. Values of `left` and `right` as stored; `transpose_*` turns a factor that lies
  /// in the file as [R, rows] or [columns, R]. Shapes were checked when the adapter landed.
  void add(const io::TensorView& left, bool transpose_left, const io::TensorView& right,
           bool transpose_right, double scale);
  /// For `inner` more columns of `left` and rows of `right`, which the caller adds.
  void add_scale(double scaling, std::int64_t inner);
};

/// What merging did to a weight, summed over its elements. D is the intended change, E the one that
/// the stored values got.
struct MergeSums {
  std::int64_t elements = 0;
  std::int64_t changed = 0;     ///< the stored value is another than the base's
  std::int64_t undecided = 0;   ///< so near a tie that f64 could not round; decided in f128
  std::int64_t non_finite = 0;  ///< NaN, or out of the type's range
  double intended2 = 0;         ///< <D,D>
  double survived = 0;          ///< <E,D>
  double actual2 = 0;           ///< <E,E>
  double base2 = 0;             ///< <W,W>

  MergeSums& operator+=(const MergeSums& other);
  /// <E,D>/<D,D>: 1 where the change arrives, near 0 where rounding swallows it; 1 without one.
  [[nodiscard]] double survival() const;
  /// |E - rho D| / |D|: what rounding adds that the adapter did not say.
  [[nodiscard]] double noise() const;
};

/// One weight to be merged. All views and vectors outlive it.
struct WeightMerge {
  const io::TensorView* base = nullptr;  ///< rows of `columns` elements, whatever its shape
  io::DType out = io::DType::BF16;
  const LowRank* change = nullptr;  ///< null: only converted to `out`
  /// DoRA: W' = m / |W + D|_row · (W + D), one magnitude for each row of the stored weight.
  std::span<const double> magnitude = {};
  std::int64_t columns = 0;
};

/// Merges rows [first, first + count) and writes them to `bytes` in the type `out`, the nearest
/// value for every element. Thread-safe.
[[nodiscard]] MergeSums merge_rows(const WeightMerge& weight, std::int64_t first,
                                   std::int64_t count, std::span<std::byte> bytes);

}  // namespace loraproof::merge
