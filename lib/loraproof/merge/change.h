// SPDX-License-Identifier: Apache-2.0
// What adapters do to one stored weight, as a recipe: factors are widened to f64 when their rows
// come up and go when they are done, as those of a whole model would not fit the memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "loraproof/io/tensor_view.h"
#include "loraproof/merge/low_rank.h"

namespace loraproof::merge {

/// Adds one adapter's part to a change that is being made.
using Term = std::function<void(LowRank&)>;

/// One adapter's part of a change that has no low rank, row by row.
class RowTerm {
 public:
  RowTerm() = default;
  RowTerm(const RowTerm&) = delete;
  RowTerm& operator=(const RowTerm&) = delete;
  virtual ~RowTerm() = default;
  /// Adds it to the sums [columns] of a row of the change. Thread-safe.
  virtual void add(std::int64_t row, std::span<double> sums) const = 0;
};

using MakeRowTerm = std::function<std::unique_ptr<RowTerm>()>;
using MakeTransform = std::function<std::unique_ptr<RowTransform>()>;

/// What happens to rows [first_row, first_row + rows) of a weight.
struct Change {
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<Term> terms;                    ///< summed
  std::vector<MakeRowTerm> row_terms;         ///< summed as well
  const io::TensorView* magnitude = nullptr;  ///< DoRA
  bool magnitude_of_columns = false;          ///< the weight is stored turned, or is an embedding
  /// Instead of the terms: makes what computes the rows.
  MakeTransform transform;
  bool is_replaced_row = false;  ///< `transform` is a row that the adapter holds whole
};

/// A change whose factors are in memory.
struct MadeChange {
  LowRank low_rank;
  std::vector<double> magnitude, column_factor;
  std::unique_ptr<RowTransform> transform;

  /// `base`: the whole weight; read where DoRA needs its column norms. `*this` outlives the result.
  [[nodiscard]] WeightMerge on(const io::TensorView& base, const Change& change,
                               io::DType out) const;
};

[[nodiscard]] MadeChange make_change(const Change& change, const io::TensorView& base);

}  // namespace loraproof::merge
