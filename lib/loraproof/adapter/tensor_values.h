// SPDX-License-Identifier: Apache-2.0
// The values of a stored tensor of BF16, F16, F32 or F64, without libtorch. Internal to adapter/.
#pragma once

#include <cstdint>
#include <vector>

#include "loraproof/io/tensor_view.h"

namespace loraproof::adapter {

/// Every value as the f32 that a forward computes with, widened; row-major as stored.
[[nodiscard]] std::vector<double> values_of(const io::TensorView& view);

/// Every value is +0 or -0.
[[nodiscard]] bool is_zero(const io::TensorView& view);

struct NonFinite {
  std::int64_t nans = 0;
  std::int64_t infinities = 0;
};
/// Counted in the stored type, and as infinite also what overflows in f32.
[[nodiscard]] NonFinite count_non_finite(const io::TensorView& view);

}  // namespace loraproof::adapter
