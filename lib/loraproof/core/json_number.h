// SPDX-License-Identifier: Apache-2.0
// Figures as JSON, which knows neither NaN nor infinity.
#pragma once

#include <cmath>
#include <optional>

#include "loraproof/core/json.h"

namespace loraproof {

/// The number; null where there is none, or where it is not finite.
[[nodiscard]] inline Json number_or_null(std::optional<double> value) {
  return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

}  // namespace loraproof
