// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/base_scheme.h"

#include <algorithm>
#include <string>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"
#include "loraproof/merge/blocks.h"
#include "loraproof/merge/rounding.h"

namespace loraproof::merge {
namespace {

std::span<const std::byte> rows_in(const io::TensorView& tensor, std::int64_t length,
                                   std::int64_t first, std::int64_t count) {
  const std::size_t row = static_cast<std::size_t>(length) * io::size_of(tensor.dtype);
  return tensor.bytes.subspan(static_cast<std::size_t>(first) * row,
                              static_cast<std::size_t>(count) * row);
}

}  // namespace

std::shared_ptr<const quant::Quantiser> DequantisedBase::quantiser_of(const PlannedTensor& tensor) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const quant::Quantiser>& known = quantisers_[&tensor];
  if (known != nullptr) return known;
  const io::TensorView& source = *tensor.source;
  const Rows rows = rows_of(tensor);
  std::shared_ptr<quant::Quantiser> made;
  try {
    made = tensor.base_scheme->make({rows.count, rows.length, source.dtype});
  } catch (const Error& error) {
    ErrorDetail detail = error.detail();
    detail.where = tensor.spec.name;
    throw Error(error.kind(), std::move(detail));
  }
  if (made->needs_survey()) made->survey(0, source.bytes);
  known = std::move(made);
  return known;
}

std::vector<std::byte> DequantisedBase::rows(const PlannedTensor& tensor, std::int64_t first,
                                             std::int64_t count) {
  const std::shared_ptr<const quant::Quantiser> quantiser = quantiser_of(tensor);
  const io::TensorView& source = *tensor.source;
  const Rows all = rows_of(tensor);
  // Whole blocks of the scheme around the rows.
  const std::int64_t step = std::max<std::int64_t>(1, quantiser->row_step());
  const std::int64_t begin = first / step * step;
  const std::int64_t end = std::min((first + count + step - 1) / step * step, all.count);
  const auto length = static_cast<std::size_t>(all.length);
  const io::DType given = quantiser->result_dtype();
  std::vector<std::byte> values(static_cast<std::size_t>(end - begin) * length *
                                io::size_of(given));
  quant::Tally tally;
  quantiser->dequantise(begin, rows_in(source, all.length, begin, end - begin), values, tally);
  const auto part = std::span(values).subspan(
      static_cast<std::size_t>(first - begin) * length * io::size_of(given),
      static_cast<std::size_t>(count) * length * io::size_of(given));
  std::vector<std::byte> result(static_cast<std::size_t>(count) * length *
                                io::size_of(source.dtype));
  if (given == source.dtype) {
    std::ranges::copy(part, result.begin());
  } else {
    std::vector<double> wide(static_cast<std::size_t>(count) * length);
    io::widen(given, part, wide);
    round_to(source.dtype, wide, result);
  }
  return result;
}

void DequantisedBase::drop_before(const PlannedTensor& tensor) {
  const std::lock_guard lock(mutex_);
  std::erase_if(quantisers_, [&](const auto& item) { return item.first < &tensor; });
}

}  // namespace loraproof::merge
