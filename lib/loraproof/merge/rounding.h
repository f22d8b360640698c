// SPDX-License-Identifier: Apache-2.0
// From f64 to the types of weights, rounded once. That never goes through a narrower type first:
// f64 -> f32 -> bf16 rounds twice and is wrong by one unit in the last place at some values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "loraproof/io/tensor_view.h"

namespace loraproof::merge {

/// BF16, F16, F32 and F64, the types of weights that a merge computes with.
[[nodiscard]] bool is_mergeable(io::DType dtype);

/// The nearest value of `dtype` (F64 excluded), ties to even, overflow to infinity (IEEE 754
/// roundTiesToEven), written to `bytes`, one element for each value.
void round_to(io::DType dtype, std::span<const double> values, std::span<std::byte> bytes);

/// Distance of `value` to the next one of `dtype` (BF16, F16 or F32) away from zero.
[[nodiscard]] double ulp_at(io::DType dtype, double value);

/// True where `value` lies so near the middle between two neighbours of `dtype` that an error of
/// `error` (absolute, at least 0) could decide the rounding.
[[nodiscard]] bool is_undecided(io::DType dtype, double value, double error);

/// How near the middle, as a share of half a step: 2^-16, which an error of the sum does not pass
/// unless base and change cancel to a 2^-20th of themselves. F32 has fewer bits to spare: 2^-12.
inline constexpr int kNearTieShift = 16;
inline constexpr int kNearTieShiftF32 = 12;

/// Which values have to be looked at with is_undecided: cheap, true for one in thousands.
[[nodiscard]] bool may_be_undecided(io::DType dtype, double value);

}  // namespace loraproof::merge
