// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loraproof/merge/plan.h"

namespace loraproof::merge {

/// About how long computing and digests will take, from one block of the plan's first large changed
/// tensor that is merged in memory; what the disk takes comes on top. 0 where nothing is changed.
[[nodiscard]] double seconds_of_computing(const MergePlan& plan, int threads);

}  // namespace loraproof::merge
