// SPDX-License-Identifier: Apache-2.0
// x Wᵀ on CPUs for bfloat16 operands, accumulated in f32: for CPUs whose libtorch has no fast
// bfloat16 product, and for few rows anywhere. A row's result does not depend on the other rows, on
// the number of rows or on threads. Raw pointers; libtorch gives only its thread pool and types.
#pragma once

#include <c10/util/BFloat16.h>
#include <cstdint>

namespace loraproof::nn {

/// Whether this CPU multiplies bfloat16 by instructions of its own, so that libtorch's products of
/// many rows are fast.
[[nodiscard]] bool multiplies_bfloat16();

/// A row-major matrix whose rows lie `stride` elements apart.
template <typename T>
struct Matrix {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
};

/// What is added to a product [M, O] after its rounding to the output type: scale·(u Bᵀ + bias),
/// in f32, rounded once with the sum. The low-rank path of a LoRA (u = x Aᵀ) is meant.
struct LowRank {
  Matrix<const float> u;        ///< [M, R]
  Matrix<const float> b;        ///< [O, R]
  const float* bias = nullptr;  ///< [O], or null
  float scale = 1.0F;
};

/// out [M, O] = x [M, I] · weight [O, I]ᵀ + bias [O] (may be null), then `low_rank` (may be null).
/// An f32 `out` of a bfloat16 weight holds values rounded to bfloat16, as a bfloat16 product has
/// them.
void row_product(const Matrix<const c10::BFloat16>& x, const Matrix<const c10::BFloat16>& weight,
                 const c10::BFloat16* bias, const LowRank* low_rank,
                 const Matrix<c10::BFloat16>& out);
void row_product(const Matrix<const c10::BFloat16>& x, const Matrix<const c10::BFloat16>& weight,
                 const c10::BFloat16* bias, const LowRank* low_rank, const Matrix<float>& out);
/// out [M, O] = x [M, I] · weight [O, I]ᵀ in f32.
void row_product(const Matrix<const c10::BFloat16>& x, const Matrix<const float>& weight,
                 const Matrix<float>& out);
/// out [M, O] += low_rank, where `out` holds a product that is already there.
void add_low_rank(const LowRank& low_rank, const Matrix<c10::BFloat16>& out);

}  // namespace loraproof::nn
