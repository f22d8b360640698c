// SPDX-License-Identifier: Apache-2.0
// The 4-bit types of bitsandbytes 0.50 as its CPU code computes them (backends/default/ops.py,
// csrc/cpu_ops.cpp): blocks of 64 values of the matrix flattened row by row, each divided by its
// largest magnitude; optionally those magnitudes in 8 bits ("double quantisation").
//
// Its CUDA kernels differ where no value is dequantised differently (the code of zeros) and in how
// a magnitude is rounded to 8 bits: to the nearest of 256 levels, where the CPU code looks up one
// of 65536 steps.
#pragma once

#include <memory>

#include "loraproof/quant/quantiser.h"

namespace loraproof::quant {

enum class FourBitType { Nf4, Fp4 };

struct FourBitOptions {
  FourBitType type = FourBitType::Nf4;
  bool double_quantised = false;
};

/// Codes are 0..15. With double quantisation scale_codes has the 8-bit code of each block's scale,
/// and the survey keeps 4 bytes a block (a 32nd of a BF16 matrix). The offset is the mean of the
/// scales, summed in f64: torch's f32 sum differs by the machine, in the last bits.
[[nodiscard]] std::unique_ptr<Quantiser> make_blockwise_4bit(const Shape& shape,
                                                             const FourBitOptions& options);

}  // namespace loraproof::quant
