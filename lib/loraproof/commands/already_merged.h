// SPDX-License-Identifier: Apache-2.0
// Is the adapter in the base already? Asked of the sums that a merge takes in its pass. No
// libtorch.
#pragma once

#include <span>

#include "loraproof/merge/write.h"
#include "loraproof/report/measure.h"

namespace loraproof::commands {

/// effect.already_merged of the change that was merged; skipped where no weight got a
/// sum, and where the change is so faint that chance explains any share.
/// `weights` are those of the adapters: where all are equal, the share is that of the change
/// without them.
[[nodiscard]] report::Measure already_merged(std::span<const merge::FileResult> files,
                                             std::span<const double> weights);

}  // namespace loraproof::commands
