// SPDX-License-Identifier: Apache-2.0
// Merged rows against sums in 128 bit, rounded once.
#include "loraproof/merge/low_rank.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "loraproof/io/element_values.h"
#include "loraproof/merge/rounding.h"
#include "support/catch.h"

namespace loraproof::merge {
namespace {

using io::DType;

struct Matrix {
  io::TensorView view;
  std::vector<std::byte> bytes;
  std::vector<double> values;
};

Matrix matrix_of(std::vector<std::int64_t> shape, DType dtype, double scale, std::mt19937& chance) {
  std::normal_distribution<double> normal(0, scale);
  Matrix out;
  out.view.dtype = dtype;
  out.view.shape = std::move(shape);
  std::vector<double> drawn(static_cast<std::size_t>(out.view.numel()));
  for (double& value : drawn) value = normal(chance);
  out.bytes.resize(drawn.size() * io::size_of(dtype));
  round_to(dtype, drawn, out.bytes);
  out.values.resize(drawn.size());
  io::widen(dtype, out.bytes, out.values);
  out.view.bytes = out.bytes;
  return out;
}

std::vector<double> stored(DType dtype, const std::vector<std::byte>& bytes) {
  std::vector<double> values(bytes.size() / io::size_of(dtype));
  io::widen(dtype, bytes, values);
  return values;
}

using Wide = long double;  // 64 bits of fraction: enough to tell, at sizes like these

}  // namespace

TEST_CASE("every merged element is the nearest value, for all ranks and odd sizes") {
  std::mt19937 chance(3);
  const DType dtype = GENERATE(DType::BF16, DType::F16, DType::F32);
  const auto rank = GENERATE(std::int64_t{1}, std::int64_t{3}, std::int64_t{4}, std::int64_t{17});
  const std::int64_t rows = 13, columns = 523;
  Matrix base = matrix_of({rows, columns}, dtype, 0.05, chance);
  Matrix left = matrix_of({rows, rank}, DType::F32, 0.1, chance);
  Matrix right = matrix_of({rank, columns}, DType::BF16, 0.1, chance);
  const double scaling = 16.0 / static_cast<double>(rank);
  LowRank change{.rows = rows, .columns = columns};
  change.add(Factor::of(left.view), Factor::of(right.view), scaling);
  const WeightMerge weight{.base = &base.view, .out = dtype, .change = &change, .columns = columns};
  std::vector<std::byte> bytes(base.bytes.size());
  const MergeSums sums = merge_rows(weight, 0, rows, bytes);
  const std::vector<double> merged = stored(dtype, bytes);
  std::int64_t wrong = 0;
  double intended2 = 0, survived = 0, inner = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      Wide delta = 0;
      for (std::int64_t k = 0; k < rank; ++k) {
        delta += static_cast<Wide>(left.values[static_cast<std::size_t>(i * rank + k)]) *
                 right.values[static_cast<std::size_t>(k * columns + j)];
      }
      delta = delta * 16 / static_cast<Wide>(rank);
      const auto at = static_cast<std::size_t>(i * columns + j);
      const auto truth = static_cast<double>(base.values[at] + delta);
      std::vector<std::byte> nearest(io::size_of(dtype));
      round_to(dtype, std::span(&truth, 1), nearest);
      wrong += stored(dtype, nearest)[0] != merged[at] ? 1 : 0;
      const auto d = static_cast<double>(delta);
      intended2 += d * d;
      survived += d * (merged[at] - base.values[at]);
      inner += d * base.values[at];
    }
  }
  CHECK(wrong == 0);
  CHECK(sums.elements == rows * columns);
  CHECK(sums.intended2 == Approx(intended2).epsilon(1e-9));
  CHECK(sums.survived == Approx(survived).epsilon(1e-9));
  CHECK(sums.inner == Approx(inner).epsilon(1e-9).margin(1e-9 * std::sqrt(sums.base2 * intended2)));
  CHECK(sums.summed2 == sums.intended2);
  // In two pieces, as blocks come.
  std::vector<std::byte> pieces(bytes.size());
  const std::size_t cut = bytes.size() / 13 * 4;
  MergeSums both = merge_rows(weight, 0, 4, std::span(pieces).first(cut));
  both += merge_rows(weight, 4, 9, std::span(pieces).subspan(cut));
  CHECK(pieces == bytes);
  CHECK(both.changed == sums.changed);
}

TEST_CASE("a tie of the sum is decided as the exact value is") {
  // 1 + 2^-8 is the middle between two values of BF16; the change is made of terms that f64 rounds.
  std::mt19937 chance(1);
  Matrix base = matrix_of({4, 1}, DType::BF16, 0, chance);
  const double one = 1;
  for (std::size_t i = 0; i < 4; ++i)
    round_to(DType::BF16, std::span(&one, 1), std::span(base.bytes).subspan(2 * i, 2));
  LowRank change{.rows = 4, .columns = 1};
  change.add({0x1p-8, 0, 0x1p-8, 0x1p-70, 0x1p-8, -0x1p-70, 3 * 0x1p-8, 0}, {1, 1}, 1);
  std::vector<std::byte> bytes(8);
  const MergeSums sums = merge_rows(
      {.base = &base.view, .out = DType::BF16, .change = &change, .columns = 1}, 0, 4, bytes);
  const std::vector<double> merged = stored(DType::BF16, bytes);
  CHECK(merged[0] == 1);               // an exact tie: to even
  CHECK(merged[1] == 1 + 0x1p-7);      // a 2^-70 above it
  CHECK(merged[2] == 1);               // below it
  CHECK(merged[3] == 1 + 2 * 0x1p-7);  // the tie above: even is the upper one
  CHECK(sums.undecided == 4);
}

TEST_CASE("DoRA scales each row to its magnitude") {
  std::mt19937 chance(5);
  const std::int64_t rows = 6, columns = 40, rank = 2;
  Matrix base = matrix_of({rows, columns}, DType::F32, 0.05, chance);
  Matrix left = matrix_of({rows, rank}, DType::F32, 0.1, chance);
  Matrix right = matrix_of({rank, columns}, DType::F32, 0.1, chance);
  LowRank change{.rows = rows, .columns = columns};
  change.add(Factor::of(left.view), Factor::of(right.view), 2);
  const std::vector<double> magnitude = {1, 2, 3, 0.5, 0, 7};
  std::vector<std::byte> bytes(base.bytes.size());
  (void)merge_rows({.base = &base.view,
                    .out = DType::F32,
                    .change = &change,
                    .magnitude = magnitude,
                    .columns = columns},
                   0, rows, bytes);
  const std::vector<double> merged = stored(DType::F32, bytes);
  for (std::size_t row = 0; row < 6; ++row) {
    double squares = 0;
    for (std::size_t j = 0; j < 40; ++j) squares += merged[row * 40 + j] * merged[row * 40 + j];
    CHECK(std::sqrt(squares) == Approx(magnitude[row]).epsilon(1e-6).margin(1e-12));
  }
}

TEST_CASE("factors are turned where they lie the other way, and several stand side by side") {
  std::mt19937 chance(9);
  Matrix left = matrix_of({3, 2}, DType::F32, 1, chance),
         right = matrix_of({2, 5}, DType::F32, 1, chance);
  Matrix left_t = matrix_of({1, 3}, DType::F32, 1, chance),
         right_t = matrix_of({5, 1}, DType::F32, 1, chance);
  LowRank change{.rows = 3, .columns = 5};
  change.add(Factor::of(left.view), Factor::of(right.view), 2);
  change.add(Factor::of(left_t.view).turned(), Factor::of(right_t.view).turned(), 3);
  REQUIRE(change.rank() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(change.left[i * 3] == left.values[i * 2]);
    CHECK(change.left[i * 3 + 2] == left_t.values[i]);
  }
  for (std::size_t j = 0; j < 5; ++j) {
    CHECK(change.right[5 + j] == right.values[5 + j]);
    CHECK(change.right[10 + j] == right_t.values[j]);
  }
  CHECK(change.scale == std::vector<double>{2, 2, 3});
}

TEST_CASE("what the type can't hold is counted") {
  std::mt19937 chance(2);
  Matrix base = matrix_of({4, 4}, DType::F16, 1, chance);
  Matrix left = matrix_of({4, 1}, DType::F32, 1, chance),
         right = matrix_of({1, 4}, DType::F32, 1, chance);
  LowRank change{.rows = 4, .columns = 4};
  change.add(Factor::of(left.view), Factor::of(right.view), 1e9);
  std::vector<std::byte> bytes(base.bytes.size());
  const MergeSums sums = merge_rows(
      {.base = &base.view, .out = DType::F16, .change = &change, .columns = 4}, 0, 4, bytes);
  CHECK(sums.non_finite == 16);
}

}  // namespace loraproof::merge
