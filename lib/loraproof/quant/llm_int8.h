// SPDX-License-Identifier: Apache-2.0
// The weights of LLM.int8() as bitsandbytes 0.50 stores them (backends/default/ops.py,
// int8_vectorwise_quant without outliers): cast to F16, then each row divided by its largest
// magnitude / 127.
//
// Its CUDA kernel was not compared.
//
// Only the weights. At run time rows of inputs are quantised alike, and columns with an input of 6
// or more are multiplied in F16: nothing of that is here.
#pragma once

#include <memory>

#include "loraproof/quant/quantiser.h"

namespace loraproof::quant {

/// Scales are the largest magnitudes of the rows (SCB); values are F32, as
/// bitsandbytes.functional.int8_vectorwise_dequant gives.
[[nodiscard]] std::unique_ptr<Quantiser> make_llm_int8(const Shape& shape);

}  // namespace loraproof::quant
