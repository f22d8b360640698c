// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/row_product.h"

#include <ATen/Parallel.h>
#include <algorithm>
#include <cstring>
#include <memory>
#include <type_traits>

#include "loraproof/core/cpu.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace loraproof::nn {
namespace {

using c10::BFloat16;

// Outputs are computed 16 at a time: one AVX-512 register, two of AVX2.
constexpr std::int64_t kLanes = 16;
// Packed weights that a task holds at once: about half of a small L2 cache.
constexpr std::int64_t kPackedBytes = 256 * 1024;

using Lanes = float __attribute__((vector_size(64)));
using Bits = std::uint32_t __attribute__((vector_size(64)));
using Avx2 = float __attribute__((vector_size(32)));
using Halves = std::uint16_t __attribute__((vector_size(32)));

template <typename Vector>
[[gnu::always_inline]] inline void load(Vector& to, const void* from) {
  std::memcpy(&to, from, sizeof to);
}

// To the nearest bfloat16, ties to even, NaN to a quiet one (as c10::BFloat16 rounds).
[[gnu::always_inline]] inline void round_bfloat16(Lanes& value) {
  Bits bits = (Bits)value;
  const Bits nan = (Bits)(value != value);
  bits = (bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U;
  value = (Lanes)((bits & ~nan) | (0x7fc00000U & nan));
}

[[gnu::always_inline]] inline void load_lanes(Lanes& to, const float* from) { load(to, from); }
[[gnu::always_inline]] inline void load_lanes(Lanes& to, const BFloat16* from) {
  Halves halves;
  load(halves, from);
  to = (Lanes)(__builtin_convertvector(halves, Bits) << 16);
}
[[gnu::always_inline]] inline void store_lanes(const Lanes& from, float* to) {
  std::memcpy(to, &from, sizeof from);
}
// `from` holds bfloat16 values.
[[gnu::always_inline]] inline void store_lanes(const Lanes& from, BFloat16* to) {
  const Halves halves = __builtin_convertvector((Bits)from >> 16, Halves);
  std::memcpy(static_cast<void*>(to), &halves, sizeof halves);
}

// Up to 16 lanes, where a row ends.
template <typename T>
[[gnu::always_inline]] inline void load_part(Lanes& to, const T* from, std::int64_t count) {
  if (count >= kLanes) return load_lanes(to, from);
  T part[kLanes] = {};
  std::copy(from, from + count, part);
  load_lanes(to, part);
}
template <typename T>
[[gnu::always_inline]] inline void store_part(const Lanes& from, T* to, std::int64_t count) {
  if (count >= kLanes) return store_lanes(from, to);
  T part[kLanes];
  store_lanes(from, part);
  std::copy(part, part + count, to);
}

template <typename W, typename Y>
struct Job {
  Matrix<const BFloat16> x;
  Matrix<const W> weight;  // no data: `out` holds the product already
  const BFloat16* bias;
  const LowRank* low_rank;
  Matrix<Y> out;

  [[nodiscard]] std::int64_t rank() const { return low_rank == nullptr ? 0 : low_rank->b.cols; }
};

// A task: these rows of x times these panels of 16 outputs.
struct Part {
  std::int64_t row_begin, row_end, panel_begin, panel_end;
};

#ifdef __SSE2__
// 8 rows of 8 bfloat16 at `rows[i] + column`, as f32 with the rows side by side: to[k * 16 + i].
[[gnu::always_inline]] inline void transpose_8x8(const BFloat16* const* rows, std::int64_t column,
                                                 float* to) {
  __m128i a[8], b[8];
  for (int i = 0; i < 8; ++i)
    a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + column));
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
    b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
  }
  // Three rounds of interleaving rows i and i + 4 transpose eight rows.
  for (int i = 0; i < 4; ++i) {
    a[2 * i] = _mm_unpacklo_epi16(b[i], b[i + 4]);
    a[2 * i + 1] = _mm_unpackhi_epi16(b[i], b[i + 4]);
  }
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
    b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
  }
  const __m128i zero = _mm_setzero_si128();
  for (int k = 0; k < 8; ++k) {
    _mm_storeu_ps(to + k * kLanes, _mm_castsi128_ps(_mm_unpacklo_epi16(zero, b[k])));
    _mm_storeu_ps(to + k * kLanes + 4, _mm_castsi128_ps(_mm_unpackhi_epi16(zero, b[k])));
  }
}
#endif

// Rows [first, first + 16) of `weight` as a panel [I, 16] f32. Rows past the end repeat the last.
template <typename W>
[[gnu::always_inline]] inline void pack(const Matrix<const W>& weight, std::int64_t first,
                                        float* panel) {
  const W* rows[kLanes];
  for (std::int64_t i = 0; i < kLanes; ++i)
    rows[i] = weight.data + std::min(first + i, weight.rows - 1) * weight.stride;
  std::int64_t k = 0;
#ifdef __SSE2__
  if constexpr (std::is_same_v<W, BFloat16>) {
    for (; k + 8 <= weight.cols; k += 8) {
      transpose_8x8(rows, k, panel + k * kLanes);
      transpose_8x8(rows + 8, k, panel + k * kLanes + 8);
    }
  }
#endif
  for (; k < weight.cols; ++k)
    for (std::int64_t i = 0; i < kLanes; ++i)
      panel[k * kLanes + i] = static_cast<float>(rows[i][k]);
}

// sum[r] = x[r, :] · panel, one chain of additions per output. `Vector` is a register's worth.
template <int Rows, typename Vector>
[[gnu::always_inline]] inline void accumulate(const float* x, std::int64_t stride,
                                              const float* panel, std::int64_t depth, Lanes* sum) {
  constexpr int kParts = sizeof(Lanes) / sizeof(Vector);
  constexpr std::int64_t kWidth = kLanes / kParts;
  Vector local[Rows][kParts] = {};
  for (std::int64_t k = 0; k < depth; ++k) {
    Vector column[kParts];
    for (int p = 0; p < kParts; ++p) load(column[p], panel + k * kLanes + p * kWidth);
    for (int r = 0; r < Rows; ++r)
      for (int p = 0; p < kParts; ++p) local[r][p] += column[p] * x[r * stride + k];
  }
  for (int r = 0; r < Rows; ++r) std::memcpy(&sum[r], local[r], sizeof(Lanes));
}

// One panel for `Rows` rows from `row` on; x as f32 [Rows, I].
template <int Rows, typename Vector, typename W, typename Y>
[[gnu::always_inline]] inline void finish_panel(const Job<W, Y>& job, const float* x,
                                                const float* panel, std::int64_t row,
                                                std::int64_t first) {
  constexpr bool kRounds = std::is_same_v<W, BFloat16>;
  const std::int64_t count = std::min(kLanes, job.out.cols - first);
  const std::int64_t depth = job.x.cols;
  Lanes sum[Rows];
  if (job.weight.data != nullptr) {
    accumulate<Rows, Vector>(x, depth, panel, depth, sum);
    Lanes bias = {};
    if (job.bias != nullptr) load_part(bias, job.bias + first, count);
    for (int r = 0; r < Rows; ++r) sum[r] += bias;
    if constexpr (kRounds)
      for (int r = 0; r < Rows; ++r) round_bfloat16(sum[r]);
  } else {
    for (int r = 0; r < Rows; ++r)
      load_part(sum[r], job.out.data + (row + r) * job.out.stride + first, count);
  }
  if (job.low_rank != nullptr) {
    const LowRank& low = *job.low_rank;
    Lanes delta[Rows], bias = {};
    accumulate<Rows, Vector>(low.u.data + row * low.u.stride, low.u.stride, panel + depth * kLanes,
                             job.rank(), delta);
    if (low.bias != nullptr) load_part(bias, low.bias + first, count);
    for (int r = 0; r < Rows; ++r) sum[r] += (delta[r] + bias) * low.scale;
    for (int r = 0; r < Rows; ++r) round_bfloat16(sum[r]);
  }
  for (int r = 0; r < Rows; ++r)
    store_part(sum[r], job.out.data + (row + r) * job.out.stride + first, count);
}

// `Rows` rows times all panels of the part.
template <int Rows, typename Vector, typename W, typename Y>
[[gnu::always_inline]] inline void multiply_rows(const Job<W, Y>& job, const Part& part,
                                                 const float* panels, std::int64_t row, float* x) {
  const std::int64_t depth = job.x.cols;
  for (int r = 0; r < Rows; ++r) {
    const BFloat16* from = job.x.data + (row + r) * job.x.stride;
    for (std::int64_t k = 0; k < depth; k += kLanes) {
      Lanes lanes;
      load_part(lanes, from + k, depth - k);
      store_part(lanes, x + r * depth + k, depth - k);
    }
  }
  for (std::int64_t p = part.panel_begin; p < part.panel_end; ++p) {
    finish_panel<Rows, Vector>(job, x, panels, row, p * kLanes);
    panels += (depth + job.rank()) * kLanes;
  }
}

template <int Rows, typename Vector, typename W, typename Y>
[[gnu::always_inline]] inline void run_part(const Job<W, Y>& job, const Part& part, float* panels,
                                            float* x) {
  const std::int64_t depth = job.x.cols;
  float* next = panels;
  for (std::int64_t p = part.panel_begin; p < part.panel_end; ++p) {
    if (job.weight.data != nullptr) pack(job.weight, p * kLanes, next);
    if (job.low_rank != nullptr) pack(job.low_rank->b, p * kLanes, next + depth * kLanes);
    next += (depth + job.rank()) * kLanes;
  }
  std::int64_t row = part.row_begin;
  for (; row + Rows <= part.row_end; row += Rows)
    multiply_rows<Rows, Vector>(job, part, panels, row, x);
  for (; row + Rows / 2 <= part.row_end; row += Rows / 2)
    multiply_rows<Rows / 2, Vector>(job, part, panels, row, x);
  for (; row < part.row_end; ++row) multiply_rows<1, Vector>(job, part, panels, row, x);
}

// Rows at once: as many sums as the registers hold beside a column.
template <typename W, typename Y>
void run_plain(const Job<W, Y>& job, const Part& part, float* panels, float* x) {
  run_part<2, Avx2>(job, part, panels, x);
}
#if defined(__x86_64__)
template <typename W, typename Y>
LORAPROOF_FOR_AVX2 void run_avx2(const Job<W, Y>& job, const Part& part, float* panels, float* x) {
  run_part<6, Avx2>(job, part, panels, x);
}
template <typename W, typename Y>
LORAPROOF_FOR_AVX512 void run_avx512(const Job<W, Y>& job, const Part& part, float* panels,
                                     float* x) {
  run_part<12, Lanes>(job, part, panels, x);
}
#endif
constexpr std::int64_t kMostRows = 12;

template <typename W, typename Y>
auto choose() {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::Avx512: return &run_avx512<W, Y>;
    case InstructionSet::Avx2: return &run_avx2<W, Y>;
    case InstructionSet::Any: break;
  }
#endif
  return &run_plain<W, Y>;
}

// Panels are dealt out in groups that fit the cache; where there are fewer groups than threads, the
// rows are split too. No sum is split, so the result does not depend on either.
template <typename W, typename Y>
void run(const Job<W, Y>& job) {
  const std::int64_t rows = job.out.rows;
  if (rows == 0 || job.out.cols == 0) return;
  const std::int64_t panels = (job.out.cols + kLanes - 1) / kLanes;
  const std::int64_t panel_floats = (job.x.cols + job.rank()) * kLanes;
  const std::int64_t most = std::max<std::int64_t>(
      1, kPackedBytes / (panel_floats * static_cast<std::int64_t>(sizeof(float))));
  const std::int64_t threads = at::get_num_threads();
  std::int64_t groups = (panels + most - 1) / most;
  groups = std::min(panels, (groups + threads - 1) / threads * threads);
  const std::int64_t row_parts =
      std::clamp<std::int64_t>(threads / groups, 1, (rows + kMostRows - 1) / kMostRows);
  const auto kernel = choose<W, Y>();
  at::parallel_for(0, groups * row_parts, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t group_panels = (panels + groups - 1) / groups;
    const auto scratch = std::make_unique_for_overwrite<float[]>(
        static_cast<std::size_t>(group_panels * panel_floats));
    const auto x = std::make_unique_for_overwrite<float[]>(
        static_cast<std::size_t>(kMostRows * std::max<std::int64_t>(1, job.x.cols)));
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t group = task / row_parts, part = task % row_parts;
      kernel(job,
             {rows * part / row_parts, rows * (part + 1) / row_parts, panels * group / groups,
              panels * (group + 1) / groups},
             scratch.get(), x.get());
    }
  });
}

}  // namespace

bool multiplies_bfloat16() {
#if defined(__x86_64__)
  static const bool supported = __builtin_cpu_supports("avx512bf16");
  return supported;
#else
  return true;
#endif
}

void row_product(const Matrix<const BFloat16>& x, const Matrix<const BFloat16>& weight,
                 const BFloat16* bias, const LowRank* low_rank, const Matrix<BFloat16>& out) {
  run(Job<BFloat16, BFloat16>{x, weight, bias, low_rank, out});
}

void row_product(const Matrix<const BFloat16>& x, const Matrix<const BFloat16>& weight,
                 const BFloat16* bias, const LowRank* low_rank, const Matrix<float>& out) {
  run(Job<BFloat16, float>{x, weight, bias, low_rank, out});
}

void row_product(const Matrix<const BFloat16>& x, const Matrix<const float>& weight,
                 const Matrix<float>& out) {
  run(Job<float, float>{x, weight, nullptr, nullptr, out});
}

void add_low_rank(const LowRank& low_rank, const Matrix<BFloat16>& out) {
  run(Job<BFloat16, BFloat16>{{}, {}, nullptr, &low_rank, out});
}

}  // namespace loraproof::nn
