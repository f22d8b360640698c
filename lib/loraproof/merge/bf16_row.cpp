// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/bf16_row.h"

#include <cmath>
#include <cstring>

#include "loraproof/core/cpu.h"
#include "loraproof/merge/rounding.h"

namespace loraproof::merge {
namespace {

constexpr std::size_t kLanes = 4;
// Vectors of GCC and Clang: they become whatever the function's target has.
typedef double Doubles __attribute__((vector_size(kLanes * 8)));
typedef std::int64_t Longs __attribute__((vector_size(kLanes * 8)));
typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef std::uint32_t Words __attribute__((vector_size(kLanes * 4)));
typedef std::uint16_t Halves __attribute__((vector_size(kLanes * 2)));

constexpr int kDropped = 45;  // bits of an f64's fraction that BF16 lacks
constexpr std::int64_t kHalf = std::int64_t{1} << (kDropped - 1);
constexpr std::int64_t kRest = (std::int64_t{1} << kDropped) - 1;
// May be a tie: as may_be_undecided() says it.
constexpr std::int64_t kNear = kHalf >> kNearTieShift;
constexpr double kSmallest = 0x1p-126;  // below it BF16 has fewer bits
constexpr double kBeyond = 0x1p128;     // what the largest value and more are rounded to

[[gnu::always_inline]] inline void merge_row(const std::byte* base, const double* change,
                                             std::byte* out, std::size_t count, Bf16RowSums& sums) {
  Doubles intended2{}, survived{}, actual2{}, base2{}, inner{};
  Longs changed{}, care{};
  for (std::size_t j = 0; j + kLanes <= count; j += kLanes) {
    Halves stored;
    std::memcpy(&stored, base + 2 * j, sizeof stored);
    const Words words = __builtin_convertvector(stored, Words) << 16;
    const Doubles w = __builtin_convertvector(reinterpret_cast<Floats>(words), Doubles);
    Doubles d;
    std::memcpy(&d, change + j, sizeof d);
    const Doubles value = w + d;
    const Longs bits = reinterpret_cast<Longs>(value);
    // To the nearest, ties to even: what is carried into the exponent belongs there.
    const Longs rounded = (bits + (kHalf - 1) + ((bits >> kDropped) & 1)) & ~kRest;
    const Doubles result = reinterpret_cast<Doubles>(rounded);
    const Longs distance = (bits & kRest) - kHalf;
    const Doubles size = reinterpret_cast<Doubles>(rounded & 0x7FFFFFFFFFFFFFFF);
    // NaN fails both comparisons of the second line.
    care |= (distance <= kNear) & (distance >= -kNear);
    care |= ~((size < kBeyond) & ((size >= kSmallest) | (size == 0)));
    const Words narrow = reinterpret_cast<Words>(__builtin_convertvector(result, Floats)) >> 16;
    const Halves stored_result = __builtin_convertvector(narrow, Halves);
    std::memcpy(out + 2 * j, &stored_result, sizeof stored_result);
    const Doubles wanted = value - w, actual = result - w;
    changed -= actual != 0;
    intended2 += wanted * wanted;
    survived += wanted * actual;
    actual2 += actual * actual;
    base2 += w * w;
    inner += w * wanted;
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    sums.changed += changed[lane];
    sums.intended2 += intended2[lane];
    sums.survived += survived[lane];
    sums.actual2 += actual2[lane];
    sums.base2 += base2[lane];
    sums.inner += inner[lane];
    sums.needs_care = sums.needs_care || care[lane] != 0;
  }
}

void merge_row_any(const std::byte* base, const double* change, std::byte* out, std::size_t count,
                   Bf16RowSums& sums) {
  merge_row(base, change, out, count, sums);
}
#if defined(__x86_64__)
LORAPROOF_FOR_AVX512 void merge_row_avx512(const std::byte* base, const double* change,
                                           std::byte* out, std::size_t count, Bf16RowSums& sums) {
  merge_row(base, change, out, count, sums);
}
LORAPROOF_FOR_AVX2 void merge_row_avx2(const std::byte* base, const double* change, std::byte* out,
                                       std::size_t count, Bf16RowSums& sums) {
  merge_row(base, change, out, count, sums);
}
#endif

using MergeRow = void (*)(const std::byte*, const double*, std::byte*, std::size_t, Bf16RowSums&);
MergeRow choose_merge_row() {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::Avx512: return &merge_row_avx512;
    case InstructionSet::Avx2: return &merge_row_avx2;
    case InstructionSet::Any: break;
  }
#endif
  return &merge_row_any;
}

}  // namespace

Bf16RowSums merge_bf16_row(const std::byte* base, const double* change, std::byte* out,
                           std::size_t count) {
  static const MergeRow run = choose_merge_row();
  Bf16RowSums sums;
  run(base, change, out, count, sums);
  // The rest of a row, padded with zeros, which add nothing and are no ties.
  if (const std::size_t rest = count % kLanes; rest != 0) {
    const std::size_t at = count - rest;
    std::byte base_rest[2 * kLanes]{}, out_rest[2 * kLanes];
    double change_rest[kLanes]{};
    std::memcpy(base_rest, base + 2 * at, 2 * rest);
    std::memcpy(change_rest, change + at, 8 * rest);
    run(base_rest, change_rest, out_rest, kLanes, sums);
    std::memcpy(out + 2 * at, out_rest, 2 * rest);
  }
  return sums;
}

}  // namespace loraproof::merge
