// SPDX-License-Identifier: Apache-2.0
// Integers and 8-bit floats with a scale for each row, group of a row, or tensor, as
// compressed-tensors 0.20 computes them on CPU (quantization/utils/helpers.py: calculate_qparams,
// lifecycle/forward.py): the smallest and largest value give scale and zero point, without search
// ("minmax").
//
// It computes in the type of the weights, so that a BF16 scale has 8 bits and quotients are rounded
// before they become codes. Its `decompress` gives values of that type; engines that keep
// code * scale in f32 differ by up to half a step of it.
#pragma once

#include <memory>

#include "loraproof/quant/quantiser.h"

namespace loraproof::quant {

enum class CodeType { Int8, Int4, E4m3 };
enum class ScalePer { Tensor, Row, Group };

struct ScaledOptions {
  CodeType codes = CodeType::Int8;
  ScalePer per = ScalePer::Row;
  std::int64_t group = 0;  ///< columns, for ScalePer::Group
  bool symmetric = true;   ///< otherwise with a zero point
  bool packed = false;     ///< in a checkpoint: codes in 32-bit words, with the shape
};

/// Codes are the bytes of signed integers or of E4M3. Input Error where a row is no whole number of
/// groups, which compressed-tensors refuses as well.
[[nodiscard]] std::unique_ptr<Quantiser> make_scaled(const Shape& shape,
                                                     const ScaledOptions& options);

}  // namespace loraproof::quant
