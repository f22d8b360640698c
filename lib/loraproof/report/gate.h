// SPDX-License-Identifier: Apache-2.0
// Measures and policy in, judged checks out. What could not be decided is never a pass: a missing
// or non-finite value, too few samples, or a limit that should exist but doesn't make the check
// inconclusive.
#pragma once

#include <span>
#include <vector>

#include "loraproof/report/check.h"
#include "loraproof/report/measure.h"
#include "loraproof/report/policy.h"

namespace loraproof::report {

/// One check per measure, in the same order. A measure whose id has no rule is an internal Error.
[[nodiscard]] std::vector<Check> gate(std::span<const Measure> measures, const Policy& policy);

}  // namespace loraproof::report
