// SPDX-License-Identifier: Apache-2.0
// Measures that need no libtorch: helpers, and what the adapter's files alone say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loraproof/adapter/finding.h"
#include "loraproof/adapter/placement.h"
#include "loraproof/report/measure.h"

namespace loraproof::commands {

using Measures = std::vector<report::Measure>;

/// A decided measure without figures.
[[nodiscard]] report::Measure passed(std::string id, std::string message);
[[nodiscard]] report::Measure skipped(std::string id, std::string message);

void append(Measures& measures, Measures more);

/// The same measures with `name` (an adapter, a slice) before whatever they are about.
[[nodiscard]] Measures with_subject(Measures measures, const std::string& name);

/// effect.already_merged: `share` c = <W,D>/<D,D> of the adapters' change over `modules`, and its
/// standard deviation if W had nothing to do with D.
[[nodiscard]] report::Measure already_merged_measure(double share, double sigma,
                                                     std::int64_t modules);

/// One failed measure per finding, and a passing one per id that found nothing; without a base
/// those that need one are skipped.
[[nodiscard]] Measures landing_measures(const adapter::PlacementSummary& placement,
                                        bool has_base = true);
[[nodiscard]] Measures zero_effect_measures(const std::vector<adapter::Finding>& findings);

}  // namespace loraproof::commands
