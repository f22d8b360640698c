// SPDX-License-Identifier: Apache-2.0
// The block types of GGUF files as ggml's reference code quantises them (ggml-quants.c,
// quantize_row_*_ref: llama-quantize without an importance matrix), byte for byte on x86-64, where
// ggml is compiled without fused multiply-add; compilers for other processors may fuse.
//
// One type for the matrix: the mixtures of llama.cpp (Q4_K_M...) choose a type for each tensor.
#pragma once

#include <cstdint>
#include <memory>

#include "loraproof/quant/quantiser.h"

namespace loraproof::quant {

/// Numbers as ggml has them (io/ggml_types.h).
enum class GgufType : std::uint32_t {
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14
};

/// Codes are the bytes of the file's blocks; values are F32, as dequantize_row_* gives. Where a row
/// is no whole number of blocks, the type that llama.cpp falls back to is used, and stored_as()
/// names it: Q4_K -> Q5_0, Q5_K -> Q5_1, Q6_K -> Q8_0, and F16 where 32 does not divide a row
/// either.
[[nodiscard]] std::unique_ptr<Quantiser> make_gguf(const Shape& shape, GgufType type);

}  // namespace loraproof::quant
