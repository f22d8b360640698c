// SPDX-License-Identifier: Apache-2.0
// Weights in another 16-bit type: what serving a BF16 model in F16, or an F32 one in BF16, does.
#pragma once

#include <memory>

#include "loraproof/quant/quantiser.h"

namespace loraproof::quant {

/// The nearest values of F16 or BF16, ties to even, as torch's `to`. What becomes infinite is
/// tallied as overflowed. Codes are the bytes of the result.
[[nodiscard]] std::unique_ptr<Quantiser> make_cast(const Shape& shape, io::DType dtype);

}  // namespace loraproof::quant
