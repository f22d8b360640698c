// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/gram.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace loraproof::adapter {
namespace {

// Columns that are multiplied at once: the rows of a block stay in a core's cache.
constexpr std::size_t kColumns = 512;
// A tile of kTile x kTile dot products shares what it loads.
constexpr std::size_t kTile = 4;

using Lane = double __attribute__((vector_size(32)));  // 4 doubles
constexpr std::size_t kLanes = 4;

double sum(const Lane& lane) { return (lane[0] + lane[1]) + (lane[2] + lane[3]); }

// GCC compiles it twice and picks by the CPU: four times faster with AVX2 and FMA.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LORAPROOF_GRAM_CLONES __attribute__((target_clones("arch=haswell", "default")))
#else
#define LORAPROOF_GRAM_CLONES
#endif

/// Adds the dot products of kTile rows at `a` with kTile rows at `b`, all `stride` apart, over
/// `count` columns (a multiple of kLanes).
LORAPROOF_GRAM_CLONES
void add_tile(const double* a, const double* b, std::size_t stride, std::size_t count,
              std::array<double, kTile * kTile>& sums) {
  Lane acc[kTile][kTile] = {};
  for (std::size_t k = 0; k < count; k += kLanes) {
    Lane right[kTile];
    for (std::size_t j = 0; j < kTile; ++j)
      std::memcpy(&right[j], b + j * stride + k, sizeof(Lane));
    for (std::size_t i = 0; i < kTile; ++i) {
      Lane left;
      std::memcpy(&left, a + i * stride + k, sizeof(Lane));
      for (std::size_t j = 0; j < kTile; ++j) acc[i][j] += left * right[j];
    }
  }
  for (std::size_t i = 0; i < kTile; ++i) {
    for (std::size_t j = 0; j < kTile; ++j) sums[i * kTile + j] += sum(acc[i][j]);
  }
}

std::size_t rounded_up(std::size_t value, std::size_t to) { return (value + to - 1) / to * to; }

}  // namespace

std::vector<double> gram_of_rows(std::span<const double> x, std::int64_t rows) {
  const auto r = static_cast<std::size_t>(rows);
  const std::size_t columns = r == 0 ? 0 : x.size() / r;
  const std::size_t padded = rounded_up(r, kTile);
  std::vector<double> wide(padded * padded, 0.0);
  std::vector<double> block(padded * kColumns, 0.0);  // zero rows and columns add nothing
  for (std::size_t begin = 0; begin < columns; begin += kColumns) {
    const std::size_t count = std::min(kColumns, columns - begin);
    const std::size_t whole = rounded_up(count, kLanes);
    for (std::size_t i = 0; i < r; ++i) {
      const double* row = x.data() + i * columns + begin;
      std::copy(row, row + count, block.data() + i * kColumns);
      std::fill(block.data() + i * kColumns + count, block.data() + i * kColumns + whole, 0.0);
    }
    for (std::size_t i = 0; i < padded; i += kTile) {
      for (std::size_t j = 0; j <= i; j += kTile) {
        std::array<double, kTile* kTile> sums = {};
        add_tile(block.data() + i * kColumns, block.data() + j * kColumns, kColumns, whole, sums);
        for (std::size_t k = 0; k < sums.size(); ++k)
          wide[(i + k / kTile) * padded + j + k % kTile] += sums[k];
      }
    }
  }
  std::vector<double> gram(r * r);
  for (std::size_t i = 0; i < r; ++i) {
    for (std::size_t j = 0; j < r; ++j)
      gram[i * r + j] = wide[std::max(i, j) * padded + std::min(i, j)];
  }
  return gram;
}

double product_norm2(std::span<const double> x, std::span<const double> y, std::int64_t rank) {
  const std::vector<double> gram_x = gram_of_rows(x, rank), gram_y = gram_of_rows(y, rank);
  double sum = 0.0;
  for (std::size_t i = 0; i < gram_x.size(); ++i) sum += gram_x[i] * gram_y[i];
  return std::max(0.0, sum);  // rounding may leave a tiny negative
}

std::vector<double> transposed(std::span<const double> x, std::int64_t rows) {
  const auto r = static_cast<std::size_t>(rows);
  const std::size_t columns = r == 0 ? 0 : x.size() / r;
  std::vector<double> result(x.size());
  for (std::size_t i = 0; i < r; ++i) {
    for (std::size_t j = 0; j < columns; ++j) result[j * r + i] = x[i * columns + j];
  }
  return result;
}

}  // namespace loraproof::adapter
