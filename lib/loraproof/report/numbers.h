// SPDX-License-Identifier: Apache-2.0
// How numbers are written for people: few digits, but never so few that a failed comparison reads
// like a passed one.
#pragma once

#include <optional>
#include <string>

#include "loraproof/report/check.h"

namespace loraproof::report {

/// `digits` significant digits: "0.01234", "1.2e-06", "nan".
[[nodiscard]] std::string format_number(double value, int digits = 4);

/// The smallest digits (4 to 17) at which `a` and `b` look as far apart as they are, or 4 when
/// equal.
[[nodiscard]] int digits_to_tell_apart(double a, double b);

/// Digits at which `value` can be told from both bounds of `limit`.
[[nodiscard]] int digits_for(std::optional<double> value, const std::optional<Limit>& limit);

}  // namespace loraproof::report
