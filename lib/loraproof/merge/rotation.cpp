// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/rotation.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "loraproof/io/element_values.h"

namespace loraproof::merge {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// The transpose of R = (I - Q)(I + Q)^-1 of a skew Q: (I - Q)^-1 (I + Q), as the transpose of Q is
// -Q. I - Q has no singular value below 1.
RowMajor transposed_cayley(const RowMajor& q) {
  const auto identity = RowMajor::Identity(q.rows(), q.cols());
  return Eigen::PartialPivLU<RowMajor>(identity - q).solve(identity + q);
}

// PEFT's series, with the signs that it has: I + 2Q + 2Q² + ... + 2Q^(n-2) + Q^(n-1), where n is 3
// or more.
RowMajor neumann_series(const RowMajor& q, std::int64_t terms) {
  RowMajor sum = RowMajor::Identity(q.rows(), q.cols());
  if (terms <= 1) return sum;
  sum += 2 * q;
  if (terms <= 2) return sum;
  RowMajor power = q * q;
  sum += 2 * power;
  for (std::int64_t i = 3; i < terms - 1; ++i) {
    power = (power * q).eval();
    sum += 2 * power;
  }
  return sum + power * q;
}

std::int64_t block_size(std::int64_t triangle) {
  return std::llround((1 + std::sqrt(1 + 8 * static_cast<double>(triangle))) / 2);
}

}  // namespace

void BlockDiagonal::multiply(std::span<const double> row, std::span<double> out) const {
  const auto width = static_cast<std::size_t>(size);
  const std::size_t stride = blocks.size() > width * width ? width * width : 0;
  std::ranges::fill(out, 0.0);
  const double* block = blocks.data();
  for (std::size_t first = 0; first < row.size(); first += width, block += stride) {
    double* __restrict to = out.data() + first;
    for (std::size_t i = 0; i < width; ++i) {
      const double value = row[first + i];
      const double* __restrict from = block + i * width;
      for (std::size_t j = 0; j < width; ++j) to[j] += value * from[j];
    }
  }
}

BlockDiagonal oft_blocks(const io::TensorView& weight, const adapter::MethodSettings& settings,
                         bool transposed) {
  const std::vector<double> values = io::widened(weight);
  const std::int64_t count = weight.shape.front(), size = block_size(weight.shape.back());
  BlockDiagonal result{.size = size, .blocks = {}};
  result.blocks.resize(static_cast<std::size_t>(count * size * size));
  const double limit = settings.coft_eps / std::sqrt(static_cast<double>(count));
  auto value = values.begin();
  for (std::int64_t block = 0; block < count; ++block) {
    RowMajor q = RowMajor::Zero(size, size);
    for (std::int64_t i = 0; i < size; ++i) {
      for (std::int64_t j = i + 1; j < size; ++j) {
        q(i, j) = *value++;
        q(j, i) = -q(i, j);
      }
    }
    if (settings.coft) {
      const double norm = q.norm();
      if (norm > limit) q *= limit / norm;
    }
    Eigen::Map<RowMajor> to(result.blocks.data() + block * size * size, size, size);
    if (!settings.neumann_terms) {
      to = transposed_cayley(q);
      if (!transposed) to.transposeInPlace();
    } else {
      to = neumann_series(q, *settings.neumann_terms);
      if (transposed) to.transposeInPlace();
    }
  }
  return result;
}

BlockDiagonal boft_blocks(const io::TensorView& weight, std::int64_t factor) {
  const std::int64_t count = weight.shape[1], size = weight.shape[2];
  const std::vector<double> values = io::widened(weight);
  BlockDiagonal result{.size = size, .blocks = {}};
  result.blocks.resize(static_cast<std::size_t>(count * size * size));
  for (std::int64_t block = 0; block < count; ++block) {
    const Eigen::Map<const RowMajor> raw(values.data() + (factor * count + block) * size * size,
                                         size, size);
    const RowMajor q = 0.5 * (raw - raw.transpose());
    Eigen::Map<RowMajor>(result.blocks.data() + block * size * size, size, size) =
        transposed_cayley(q);
  }
  return result;
}

std::vector<std::int64_t> butterfly_order(std::int64_t columns, std::int64_t size,
                                          std::int64_t factor) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(columns));
  std::iota(order.begin(), order.end(), 0);
  if (factor == 0) return order;  // one block at a time
  // Groups of 2^factor blocks: all even halves of blocks, then all odd ones.
  const std::int64_t half = size / 2, group = size << factor, halves = std::int64_t{2} << factor;
  std::size_t at = 0;
  for (std::int64_t first = 0; first < columns; first += group) {
    for (const std::int64_t odd : {0, 1}) {
      for (std::int64_t h = odd; h < halves; h += 2) {
        for (std::int64_t k = 0; k < half; ++k) order[at++] = first + h * half + k;
      }
    }
  }
  return order;
}

}  // namespace loraproof::merge
