// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/simulate.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <mutex>
#include <span>

#include "loraproof/tensor/from_view.h"

namespace loraproof::deploy {
namespace {

constexpr std::int64_t kBlockValues = std::int64_t{1} << 18;

// Rows [begin, begin + count) as bytes.
template <typename Byte>
std::span<Byte> rows_of(Byte* data, const at::Tensor& matrix, std::int64_t begin,
                        std::int64_t count) {
  const auto row = static_cast<std::size_t>(matrix.size(1) * matrix.element_size());
  return {data + static_cast<std::size_t>(begin) * row, static_cast<std::size_t>(count) * row};
}

}  // namespace

Simulated simulate(const quant::Scheme& scheme, const at::Tensor& weight) {
  const at::Tensor from = weight.contiguous();
  const std::int64_t rows = from.size(0), columns = from.size(1);
  const auto quantiser = scheme.make({rows, columns, tensor::dtype_of(from.scalar_type())});
  const auto* in = static_cast<const std::byte*>(from.const_data_ptr());
  const std::int64_t row_step = std::max<std::int64_t>(1, quantiser->row_step());
  const std::int64_t step =
      std::max<std::int64_t>(1, kBlockValues / std::max<std::int64_t>(columns * row_step, 1)) *
      row_step;
  if (quantiser->needs_survey()) quantiser->survey(0, rows_of(in, from, 0, rows));
  Simulated result{
      .weight = at::empty({rows, columns}, at::TensorOptions(tensor::scalar_type_of(
                                               quantiser->result_dtype(), scheme.name))),
      .bytes = quantiser->stored_bytes()};
  auto* out = static_cast<std::byte*>(result.weight.data_ptr());
  const std::int64_t blocks = (rows + step - 1) / step;
  std::mutex mutex;
  at::parallel_for(0, blocks, 1, [&](std::int64_t first, std::int64_t last) {
    quant::Tally tally;
    for (std::int64_t block = first; block < last; ++block) {
      const std::int64_t begin = block * step, count = std::min(step, rows - begin);
      quantiser->dequantise(begin, rows_of(in, from, begin, count),
                            rows_of(out, result.weight, begin, count), tally);
    }
    const std::lock_guard lock(mutex);
    result.tally.values += tally.values;
    result.tally.clipped += tally.clipped;
    result.tally.overflowed += tally.overflowed;
    result.tally.non_finite += tally.non_finite;
  });
  return result;
}

}  // namespace loraproof::deploy
