// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/products.h"

#include <algorithm>
#include <utility>

#include "loraproof/core/cpu.h"

namespace loraproof::drift {
namespace {

constexpr std::size_t kWaiting = 16;  // their entries and a row of sums fit into the nearest cache

// 64-bit products of 32-bit factors, which suit vector registers; zeros cost less than finding out.
[[gnu::always_inline]] inline void add_rows(const std::int32_t* units, std::size_t count,
                                            std::size_t size, std::int64_t* row) {
  for (std::size_t i = 0; i < size; row += size - i, ++i) {
    for (std::size_t unit = 0; unit < count; ++unit) {
      const std::int32_t* from = units + unit * size + i;
      const std::int32_t value = *from;
      if (value == 0) continue;
      for (std::size_t j = 0; j < size - i; ++j)
        row[j] += static_cast<std::int64_t>(value) * from[j];
    }
  }
}

using RowsFunction = void (*)(const std::int32_t*, std::size_t, std::size_t, std::int64_t*);

void add_rows_plain(const std::int32_t* units, std::size_t count, std::size_t size,
                    std::int64_t* sums) {
  add_rows(units, count, size, sums);
}
#if defined(__x86_64__)
LORAPROOF_FOR_AVX2 void add_rows_avx2(const std::int32_t* units, std::size_t count,
                                      std::size_t size, std::int64_t* sums) {
  add_rows(units, count, size, sums);
}
LORAPROOF_FOR_AVX512 void add_rows_avx512(const std::int32_t* units, std::size_t count,
                                          std::size_t size, std::int64_t* sums) {
  add_rows(units, count, size, sums);
}
#endif

RowsFunction best_rows() {
#if defined(__x86_64__)
  if (instruction_set() == InstructionSet::Avx512) return add_rows_avx512;
  if (instruction_set() == InstructionSet::Avx2) return add_rows_avx2;
#endif
  return add_rows_plain;
}

}  // namespace

ProductSums::ProductSums(std::size_t size)
    : size_(size), waiting_(kWaiting * size), sums_(triangle_size(size)) {}

void ProductSums::add(std::span<const std::int64_t> values) {
  std::ranges::transform(values, waiting_.begin() + static_cast<std::ptrdiff_t>(count_ * size_),
                         [](std::int64_t value) { return static_cast<std::int32_t>(value); });
  if (++count_ == kWaiting) add_waiting();
}

void ProductSums::add_waiting() {
  static const RowsFunction rows = best_rows();
  rows(waiting_.data(), std::exchange(count_, 0), size_, sums_.data());
}

void ProductSums::move_to(std::span<Int128> sums) {
  add_waiting();
  for (std::size_t i = 0; i < sums_.size(); ++i) sums[i] += std::exchange(sums_[i], 0);
}

}  // namespace loraproof::drift
