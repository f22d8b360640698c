// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/change.h"

#include <cmath>

#include "loraproof/io/element_values.h"

namespace loraproof::merge {

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
