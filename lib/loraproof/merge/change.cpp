// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/change.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "loraproof/io/element_values.h"

namespace loraproof::merge {
namespace {

// Low-rank terms and others, in one sum.
class RowSum : public RowTransform {
 public:
  RowSum(const Change& change, LowRank low_rank)
      : first_row_(change.first_row), low_rank_(std::move(low_rank)) {
    for (const MakeRowTerm& make : change.row_terms) terms_.push_back(make());
  }
  void apply(std::int64_t row, std::span<const double> base,
             std::span<double> merged) const override {
    std::ranges::fill(merged, 0.0);
    const std::int64_t inner = row - first_row_;
    for (const auto& term : terms_) term->add(inner, merged);
    const auto rank = static_cast<std::size_t>(low_rank_.rank());
    for (std::size_t k = 0; k < rank; ++k) {
      const double left =
          low_rank_.left[static_cast<std::size_t>(inner) * rank + k] * low_rank_.scale[k];
      const double* right = low_rank_.right.data() + k * merged.size();
      for (std::size_t j = 0; j < merged.size(); ++j) merged[j] += left * right[j];
    }
    for (std::size_t j = 0; j < merged.size(); ++j) merged[j] += base[j];
  }
  [[nodiscard]] bool is_sum() const override { return true; }

 private:
  std::int64_t first_row_;
  LowRank low_rank_;
  std::vector<std::unique_ptr<RowTerm>> terms_;
};

}  // namespace

WeightMerge MadeChange::on(const io::TensorView& base, const Change& change, io::DType out) const {
  return {.base = &base,
          .out = out,
          .change = transform == nullptr ? &low_rank : nullptr,
          .magnitude = magnitude,
          .column_factor = column_factor,
          .transform = transform.get(),
          .columns = change.columns,
          .first_row = change.first_row};
}

MadeChange make_change(const Change& change, const io::TensorView& base) {
  MadeChange made;
  if (change.transform) {
    made.transform = change.transform();
    return made;
  }
  made.low_rank.rows = change.rows;
  made.low_rank.columns = change.columns;
  for (const Term& term : change.terms) term(made.low_rank);
  if (!change.row_terms.empty()) {
    made.transform = std::make_unique<RowSum>(change, std::move(made.low_rank));
    return made;
  }
  if (change.magnitude == nullptr) return made;
  made.magnitude = io::widened(*change.magnitude);
  if (!change.magnitude_of_columns) return made;
  made.column_factor = std::move(made.magnitude);
  made.magnitude.clear();
  const std::vector<double> squares = column_squares({.base = &base,
                                                      .change = &made.low_rank,
                                                      .columns = change.columns,
                                                      .first_row = change.first_row});
  for (std::size_t j = 0; j < squares.size(); ++j) made.column_factor[j] /= std::sqrt(squares[j]);
  return made;
}

}  // namespace loraproof::merge
