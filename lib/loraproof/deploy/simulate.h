// SPDX-License-Identifier: Apache-2.0
// A quantisation scheme applied to a whole matrix in memory, on all threads.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>

#include "loraproof/quant/scheme.h"

namespace loraproof::deploy {

struct Simulated {
  at::Tensor weight;        ///< [O, I] in the type that the library gives back, on the CPU
  std::uint64_t bytes = 0;  ///< of codes, scales and zero points in a checkpoint
  quant::Tally tally;
};

/// `weight` [O, I]: BF16, F16 or F32 on the CPU. Input Error where the library does not quantise a
/// matrix of this shape.
[[nodiscard]] Simulated simulate(const quant::Scheme& scheme, const at::Tensor& weight);

}  // namespace loraproof::deploy
