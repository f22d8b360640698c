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

/// A matrix as it lies in a file: element (i, j) is number offset + i · row_step + j · column_step
/// of the tensor. Turned factors, and those of one expert among many, need no copy.
struct Factor {
  const io::TensorView* tensor = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t offset = 0;
  std::int64_t row_step = 0;
  std::int64_t column_step = 1;

  /// Of any shape: the first dimension are the rows, all others the columns.
  [[nodiscard]] static Factor of(const io::TensorView& tensor);
  [[nodiscard]] Factor turned() const;
  /// Row-major values.
  [[nodiscard]] std::vector<double> values() const;
};

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

  /// Adds scaling · left · right: [rows, inner] and [inner, columns].
  void add(const Factor& left, const Factor& right, double scaling);
  /// The same of values in row-major order.
  void add(const std::vector<double>& left, const std::vector<double>& right, double scaling);
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
  double inner = 0;             ///< <W,D>, and <D,D> of the same elements: where D is a sum, so
  double summed2 = 0;           ///< not of DoRA, whose change lies along W
  double scheme2 = 0;           ///< of what a base scheme made of W: |dq(Q(W)) - W|^2

  MergeSums& operator+=(const MergeSums& other);
  /// <E,D>/<D,D>: 1 where the change arrives, near 0 where rounding swallows it; 1 without one.
  [[nodiscard]] double survival() const;
  /// |E - rho D| / |D|: what rounding adds that the adapter did not say.
  [[nodiscard]] double noise() const;
};

/// A change that is no low-rank sum: what becomes of a row, from the row's own values alone.
class RowTransform {
 public:
  RowTransform() = default;
  RowTransform(const RowTransform&) = delete;
  RowTransform& operator=(const RowTransform&) = delete;
  virtual ~RowTransform() = default;
  /// `row`: of the stored weight. Thread-safe.
  virtual void apply(std::int64_t row, std::span<const double> base,
                     std::span<double> merged) const = 0;
  /// The change does not depend on the base.
  [[nodiscard]] virtual bool is_sum() const { return false; }
};

/// One weight to be merged. All views and vectors outlive it.
struct WeightMerge {
  const io::TensorView* base = nullptr;  ///< rows of `columns` elements, whatever its shape
  std::int64_t base_first = 0;           ///< the row of the weight that is row 0 of `base`
  io::DType out = io::DType::BF16;
  const LowRank* change = nullptr;  ///< null: only converted to `out`
  /// DoRA: W' = m / |W + D|_row · (W + D), one magnitude for each row of the stored weight.
  std::span<const double> magnitude = {};
  /// DoRA of weights that are stored turned: a factor for each column, after the sum.
  std::span<const double> column_factor = {};
  const RowTransform* transform = nullptr;  ///< instead of `change`
  std::int64_t columns = 0;
  std::int64_t first_row = 0;  ///< the row of the weight that is row 0 of `change` and `magnitude`
};

/// The squares of each column of W + D, summed over all rows.
[[nodiscard]] std::vector<double> column_squares(const WeightMerge& weight);

/// Merges rows [first, first + count) of the weight and writes them to `bytes` in the type `out`,
/// the nearest value for every element. Thread-safe.
[[nodiscard]] MergeSums merge_rows(const WeightMerge& weight, std::int64_t first,
                                   std::int64_t count, std::span<std::byte> bytes);

}  // namespace loraproof::merge
