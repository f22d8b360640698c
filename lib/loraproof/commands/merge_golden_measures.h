// SPDX-License-Identifier: Apache-2.0
// What the merged model does otherwise than base and adapters, as measures and metrics.
#pragma once

#include "loraproof/commands/measures_base.h"
#include "loraproof/core/json_fwd.h"
#include "loraproof/golden/compare.h"
#include "loraproof/golden/reference.h"
#include "loraproof/report/policy.h"

namespace loraproof::commands {

/// merge.golden_*. `diff` is of the merged model against `unmerged`, which has its noise floor and
/// the figures of the base without the adapters.
[[nodiscard]] Measures merge_golden_measures(const golden::GoldenDiff& diff,
                                             const golden::Reference& unmerged,
                                             const report::Policy& policy);

/// The noise floor, run by run, and how far the base is away.
[[nodiscard]] Json merge_golden_metrics(const golden::GoldenDiff& diff,
                                        const golden::Reference& unmerged);

}  // namespace loraproof::commands
