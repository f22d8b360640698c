// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/quantiser.h"

#include <algorithm>
#include <bit>
#include <string>

#include "loraproof/core/error.h"
#include "loraproof/io/narrow.h"

namespace loraproof::quant {
namespace {

// Values worked on at a time, so that they stay in the cache between the steps.
constexpr std::int64_t kChunkValues = 32768;

std::int64_t count_non_finite(std::span<const float> values) {
  std::uint32_t count = 0;
  for (const float value : values)
    count += (std::bit_cast<std::uint32_t>(value) & 0x7F800000U) == 0x7F800000U ? 1 : 0;
  return count;
}

}  // namespace

Quantiser::Quantiser(const Shape& shape) : shape_(shape) {
  const bool known = shape.dtype == io::DType::BF16 || shape.dtype == io::DType::F16 ||
                     shape.dtype == io::DType::F32;
  if (!known) {
    throw input_error({.message = "a weight of this type is not quantised by any scheme",
                       .expected = "BF16, F16 or F32",
                       .found = std::string(io::name_of(shape.dtype))});
  }
}

template <typename Visit>
void Quantiser::in_chunks(std::int64_t first_row, std::span<const std::byte> rows,
                          Visit visit) const {
  const auto row_bytes = static_cast<std::size_t>(shape_.columns) * io::size_of(shape_.dtype);
  if (row_bytes == 0 || rows.empty()) return;
  const auto count = static_cast<std::int64_t>(rows.size() / row_bytes);
  const std::int64_t step = row_step();
  const std::int64_t end = first_row + count;
  if (rows.size() % row_bytes != 0 || first_row % step != 0 || end > shape_.rows ||
      (end % step != 0 && end != shape_.rows)) {
    throw internal_error({.message = "rows to quantise are no block of this matrix"});
  }
  const std::int64_t chunk =
      std::max<std::int64_t>(1, kChunkValues / (shape_.columns * step)) * step;
  std::vector<float> values(static_cast<std::size_t>(std::min(chunk, count) * shape_.columns));
  for (std::int64_t done = 0; done < count; done += chunk) {
    const std::int64_t some = std::min(chunk, count - done);
    const std::span part(values.data(), static_cast<std::size_t>(some * shape_.columns));
    const auto at = static_cast<std::size_t>(done) * row_bytes;
    io::widen(shape_.dtype, rows.subspan(at, static_cast<std::size_t>(some) * row_bytes), part);
    visit(Block{first_row + done, some, part}, done * shape_.columns);
  }
}

void Quantiser::survey(std::int64_t first_row, std::span<const std::byte> rows) {
  in_chunks(first_row, rows, [&](const Block& block, std::int64_t) {
    survey_block(block);
    surveyed_rows_ += block.rows;
    if (surveyed_rows_ > shape_.rows)
      throw internal_error({.message = "a row was surveyed twice before it was quantised"});
    if (surveyed_rows_ == shape_.rows) end_survey();
  });
}

void Quantiser::dequantise(std::int64_t first_row, std::span<const std::byte> rows,
                           std::span<std::byte> out, Tally& tally, Stored* stored) const {
  if (needs_survey() && surveyed_rows_ != shape_.rows)
    throw internal_error({.message = "a matrix was quantised before all its rows were surveyed"});
  const std::size_t size = io::size_of(result_dtype());
  if (out.size() / size != rows.size() / io::size_of(shape_.dtype))
    throw internal_error({.message = "the room for dequantised values does not fit the rows"});
  in_chunks(first_row, rows, [&](const Block& block, std::int64_t at) {
    tally.values += static_cast<std::int64_t>(block.values.size());
    tally.non_finite += count_non_finite(block.values);
    run(block, tally, stored);
    io::narrow(result_dtype(), block.values,
               out.subspan(static_cast<std::size_t>(at) * size, block.values.size() * size));
  });
}

}  // namespace loraproof::quant
