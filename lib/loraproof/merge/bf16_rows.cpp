// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/bf16_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "loraproof/core/cpu.h"
#include "loraproof/merge/low_rank.h"

// Vectors are passed between functions that are all inlined: no calling convention is involved.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

namespace loraproof::merge {
namespace {

constexpr std::int64_t kLanes = 8;
constexpr std::int64_t kStep = 2 * kLanes;  // columns whose sums are in registers
constexpr std::int64_t kRows = 4;           // rows whose sums are in registers
constexpr std::int64_t kTile = 512;         // columns of `right` that stay in the cache
// Vectors of GCC and Clang: they become whatever the function's target has.
typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef std::uint32_t Words __attribute__((vector_size(kLanes * 4)));
typedef std::int32_t Ints __attribute__((vector_size(kLanes * 4)));

constexpr std::uint32_t kUpper = 0xFFFF0000U;  // a BF16 in the place of its f32
constexpr double kUnit = 0x1p-24;              // of f32
constexpr float kRelative = 0x1p-22F;     // of base + change: its rounding, and that of the bounds
constexpr std::int64_t kMostRank = 4096;  // the bounds hold up to there
constexpr double kMost = 0x1p40;          // beyond it f32 could not hold squares
constexpr double kLeast = 0x1p-40;        // nor below it

// What one group of rows is made of.
struct Group {
  const float* left;       // [rows, rank]
  const float* row_bound;  // [rows]
  const std::byte* base;
  std::byte* out;
  std::int64_t first;  // row of the factors
};

struct Sums {
  Floats intended2{}, residual{}, residual2{}, base2{}, inner{};
  Ints changed{};
};

template <typename Vector>
[[gnu::always_inline]] inline Vector load(const void* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

// Eight elements: returns their rounded values as f32, whose low halves are zero. `open` gets all
// ones in the lanes that are not decided. Decided is what lies nearer to its rounded value than
// half a step, by more than the error.
[[gnu::always_inline]] inline Words finish(Floats w, Floats change, Floats bound, Sums& sums,
                                           Ints& open) {
  const Floats value = w + change;
  const Words bits = reinterpret_cast<Words>(value);
  // To the nearest, ties to even: what is carried into the exponent belongs there.
  const Words nearest = (bits + 0x7FFFU + (bits >> 16 & 1U)) & kUpper;
  const Floats actual = reinterpret_cast<Floats>(nearest) - w;
  const Floats residual = actual - change;
  const Floats half_step = reinterpret_cast<Floats>(bits & 0x7F800000U) * 0x1p-8F;
  const Floats error = reinterpret_cast<Floats>(bits & 0x7FFFFFFFU) * kRelative + bound;
  const Floats distance =
      reinterpret_cast<Floats>(reinterpret_cast<Words>(residual) & 0x7FFFFFFFU) + error;
  const Ints decided = distance <= half_step;  // not: NaN and infinity too
  open = ~decided;
  const auto kept = [&](Floats v) {
    return reinterpret_cast<Floats>(reinterpret_cast<Ints>(v) & decided);
  };
  const Floats d = kept(change), r = kept(residual), b = kept(w);
  sums.changed -= (actual != 0) & decided;
  sums.intended2 += d * d;
  sums.residual += r * d;
  sums.residual2 += r * r;
  sums.base2 += b * b;
  sums.inner += b * d;
  return nearest;
}

[[gnu::always_inline]] inline bool any(Ints lanes) {
  std::int64_t words[4];
  static_assert(sizeof words == sizeof lanes);
  std::memcpy(words, &lanes, sizeof words);
  return (words[0] | words[1] | words[2] | words[3]) != 0;
}

// Columns [begin, begin + kStep) of `Rows` rows. `base` and `out` have `row_bytes` from row to row.
template <std::int64_t Rows>
[[gnu::always_inline]] inline void merge_step(const Bf16Factors& f, const Group& group,
                                              std::int64_t begin, const std::byte* base,
                                              std::byte* out, std::int64_t row_bytes, Sums& sums,
                                              std::vector<Undecided>& undecided) {
  Floats s[Rows][2]{};
  const float* right = f.right.data() + begin;
  for (std::int64_t k = 0; k < f.rank; ++k, right += f.stride) {
    const Floats even = load<Floats>(right), odd = load<Floats>(right + kLanes);
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < Rows; ++i) {
      const float l = group.left[i * f.rank + k];
      s[i][0] += l * even;
      s[i][1] += l * odd;
    }
  }
  // In memory, so that the sums over elements get the registers.
  alignas(32) float changes[Rows][2][kLanes];
  std::memcpy(changes, s, sizeof changes);
  Ints open[Rows][2], some{};
  const Floats even_bound = load<Floats>(f.column_bound.data() + begin);
  const Floats odd_bound = load<Floats>(f.column_bound.data() + begin + kLanes);
#pragma GCC unroll 1
  for (std::int64_t i = 0; i < Rows; ++i) {
    const Words stored = load<Words>(base + i * row_bytes);
    const float bound = group.row_bound[i];
    const Words even = finish(reinterpret_cast<Floats>(stored << 16), load<Floats>(changes[i][0]),
                              even_bound * bound, sums, open[i][0]);
    const Words odd = finish(reinterpret_cast<Floats>(stored & kUpper), load<Floats>(changes[i][1]),
                             odd_bound * bound, sums, open[i][1]);
    const Words result = even >> 16 | odd;
    std::memcpy(out + i * row_bytes, &result, sizeof result);
    some |= open[i][0] | open[i][1];
  }
  if (!any(some)) [[likely]]
    return;
  for (std::int64_t i = 0; i < Rows; ++i) {
    for (std::int64_t j = 0; j < kStep; ++j)
      if (open[i][j % 2][j / 2] != 0) undecided.push_back({group.first + i, begin + j});
  }
}

// The last columns, padded with zeros, which add nothing and are decided.
template <std::int64_t Rows>
[[gnu::always_inline]] inline void merge_rest(const Bf16Factors& f, const Group& group,
                                              std::int64_t begin, Sums& sums,
                                              std::vector<Undecided>& undecided) {
  std::byte base[Rows * kStep * 2]{}, out[Rows * kStep * 2];
  const auto size = static_cast<std::size_t>(f.columns - begin) * 2;
  for (std::int64_t i = 0; i < Rows; ++i)
    std::memcpy(base + i * kStep * 2, group.base + (i * f.columns + begin) * 2, size);
  merge_step<Rows>(f, group, begin, base, out, kStep * 2, sums, undecided);
  for (std::int64_t i = 0; i < Rows; ++i)
    std::memcpy(group.out + (i * f.columns + begin) * 2, out + i * kStep * 2, size);
}

[[gnu::always_inline]] inline void add(const Sums& sums, Bf16Sums& total) {
  double intended2 = 0, residual = 0, residual2 = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    total.changed += sums.changed[lane];
    intended2 += static_cast<double>(sums.intended2[lane]);
    residual += static_cast<double>(sums.residual[lane]);
    residual2 += static_cast<double>(sums.residual2[lane]);
    total.base2 += static_cast<double>(sums.base2[lane]);
    total.inner += static_cast<double>(sums.inner[lane]);
  }
  // E = D + residual: written so that what rounding added is not lost in the size of D.
  total.intended2 += intended2;
  total.survived += intended2 + residual;
  total.actual2 += intended2 + 2 * residual + residual2;
}

template <std::int64_t Rows>
[[gnu::always_inline]] inline void merge_group(const Bf16Factors& f, const Group& group,
                                               std::int64_t begin, std::int64_t end,
                                               Bf16Sums& total, std::vector<Undecided>& undecided) {
  Sums sums;
  std::int64_t at = begin;
  for (; at + kStep <= end; at += kStep)
    merge_step<Rows>(f, group, at, group.base + at * 2, group.out + at * 2, f.columns * 2, sums,
                     undecided);
  if (at < end) merge_rest<Rows>(f, group, at, sums, undecided);
  add(sums, total);
}

[[gnu::always_inline]] inline void merge_all(const Bf16Factors& f, const std::byte* base,
                                             std::byte* out, Bf16Sums& total,
                                             std::vector<Undecided>& undecided) {
  for (std::int64_t begin = 0; begin < f.columns; begin += kTile) {
    const std::int64_t end = std::min(begin + kTile, f.columns);
    for (std::int64_t row = 0; row < f.rows;) {
      const std::int64_t at = row * f.columns * 2;
      const Group group{f.left.data() + row * f.rank, f.row_bound.data() + row, base + at, out + at,
                        row};
      if (row + kRows <= f.rows) {
        merge_group<kRows>(f, group, begin, end, total, undecided);
        row += kRows;
      } else {
        merge_group<1>(f, group, begin, end, total, undecided);
        ++row;
      }
    }
  }
}

void merge_any(const Bf16Factors& f, const std::byte* base, std::byte* out, Bf16Sums& total,
               std::vector<Undecided>& undecided) {
  merge_all(f, base, out, total, undecided);
}
#if defined(__x86_64__)
LORAPROOF_FOR_AVX512 void merge_avx512(const Bf16Factors& f, const std::byte* base, std::byte* out,
                                       Bf16Sums& total, std::vector<Undecided>& undecided) {
  merge_all(f, base, out, total, undecided);
}
LORAPROOF_FOR_AVX2 void merge_avx2(const Bf16Factors& f, const std::byte* base, std::byte* out,
                                   Bf16Sums& total, std::vector<Undecided>& undecided) {
  merge_all(f, base, out, total, undecided);
}
#endif

using Merge = void (*)(const Bf16Factors&, const std::byte*, std::byte*, Bf16Sums&,
                       std::vector<Undecided>&);
Merge choose_merge() {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::Avx512: return &merge_avx512;
    case InstructionSet::Avx2: return &merge_avx2;
    case InstructionSet::Any: break;
  }
#endif
  return &merge_any;
}

// Where column j lies: of each kStep columns those of even number first. Two BF16 in a word of 32
// bits are then two f32 by a shift and a mask.
std::size_t place_of(std::size_t j) {
  constexpr auto step = static_cast<std::size_t>(kStep);
  return j / step * step + j % 2 * static_cast<std::size_t>(kLanes) + j % step / 2;
}

// The next f32 above, so that products of such numbers are bounds.
float above(double value) {
  return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

}  // namespace

std::optional<Bf16Factors> Bf16Factors::of(const LowRank& change, std::int64_t first,
                                           std::int64_t count) {
  if (change.rank() > kMostRank) return std::nullopt;
  Bf16Factors f{.rows = count, .columns = change.columns, .rank = change.rank()};
  f.stride = (f.columns + kStep - 1) / kStep * kStep;
  const auto rank = static_cast<std::size_t>(f.rank), stride = static_cast<std::size_t>(f.stride);
  const auto columns = static_cast<std::size_t>(f.columns);
  f.left.resize(static_cast<std::size_t>(count) * rank);
  f.right.resize(rank * stride);
  f.row_bound.resize(static_cast<std::size_t>(count));
  f.column_bound.resize(stride);
  double most_row = 0, most_column = 0;
  for (std::size_t i = 0; i < f.row_bound.size(); ++i) {
    const double* row = change.left.data() + (static_cast<std::size_t>(first) + i) * rank;
    double squares = 0;
    for (std::size_t k = 0; k < rank; ++k) {
      const double value = row[k] * change.scale[k];
      f.left[i * rank + k] = static_cast<float>(value);
      squares += value * value;
    }
    if (!(squares <= kMost * kMost)) return std::nullopt;  // NaN too
    most_row = std::max(most_row, squares);
    // A sum of `rank` products of numbers that were rounded themselves; Cauchy and Schwarz. The
    // small addend is for what is lost below the smallest f32.
    if (squares > 0)
      f.row_bound[i] = above(static_cast<double>(rank + 4) * kUnit * std::sqrt(squares) + 0x1p-40);
  }
  std::vector<double> squares(columns);
  for (std::size_t k = 0; k < rank; ++k) {
    for (std::size_t j = 0; j < columns; ++j) {
      const double value = change.right[k * columns + j];
      f.right[k * stride + place_of(j)] = static_cast<float>(value);
      squares[j] += value * value;
    }
  }
  for (std::size_t j = 0; j < columns; ++j) {
    if (!(squares[j] <= kMost * kMost)) return std::nullopt;
    most_column = std::max(most_column, squares[j]);
    if (squares[j] > 0) f.column_bound[place_of(j)] = above(std::sqrt(squares[j]) + 0x1p-50);
  }
  const double most = std::sqrt(most_row) * std::sqrt(most_column);
  if (most != 0 && (most < kLeast || most > kMost)) return std::nullopt;
  return f;
}

std::optional<Bf16Sums> merge_bf16_rows(const Bf16Factors& factors, const std::byte* base,
                                        std::byte* out, std::vector<Undecided>& undecided) {
  static const Merge run = choose_merge();
  Bf16Sums total;
  const std::size_t before = undecided.size();
  run(factors, base, out, total, undecided);
  if (!std::isfinite(total.base2) || !std::isfinite(total.inner)) return std::nullopt;
  total.decided =
      factors.rows * factors.columns - static_cast<std::int64_t>(undecided.size() - before);
  return total;
}

}  // namespace loraproof::merge
