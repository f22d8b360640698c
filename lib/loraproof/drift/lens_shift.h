// SPDX-License-Identifier: Apache-2.0
// The lenses that have a figure for each unit (x of y): is it higher or lower than before?
#pragma once

#include <vector>

#include "loraproof/drift/compare.h"

namespace loraproof::drift {

/// One row for each lens that `side` has, in the order of reports.
[[nodiscard]] std::vector<LensShift> test_lenses(const Counts& reference, const Counts& window,
                                                 Side side, const CompareOptions& options);

/// Says in `reason` why a lens with these numbers of units tests nothing; false when it can.
[[nodiscard]] bool lacks_units(LensShift& shift, std::int64_t min_units);

}  // namespace loraproof::drift
