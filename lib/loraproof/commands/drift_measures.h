// SPDX-License-Identifier: Apache-2.0
// What a comparison says, as measures for the gate and as JSON for programs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "loraproof/core/json_fwd.h"
#include "loraproof/drift/calibrate.h"
#include "loraproof/drift/compare.h"
#include "loraproof/drift/segments.h"
#include "loraproof/report/check.h"
#include "loraproof/report/measure.h"
#include "loraproof/report/policy.h"
#include "loraproof/text/tokenizer.h"

namespace loraproof::commands {

/// `level` is what p is held against, `min_units` the fewest prompts on a side. `limits`:
/// calibrated ones, for lenses that the policy file and --set say nothing about.
[[nodiscard]] std::vector<report::Measure> drift_measures(
    const drift::Comparison& comparison, const drift::CompareOptions& options,
    const std::vector<drift::LensLimit>& limits = {});

/// One for each lens: drift_measures without the numbers that are no lenses.
[[nodiscard]] std::vector<report::Measure> lens_measures(const drift::Comparison& comparison,
                                                         const drift::CompareOptions& options);

/// Of the segments of the field `by`: each lens that failed or warned, with the segment as its
/// subject; drift.segment for the others, and for those that can't be compared.
[[nodiscard]] std::vector<report::Check> segment_checks(const std::string& by,
                                                        const drift::SegmentComparisons& segments,
                                                        const drift::CompareOptions& options,
                                                        const report::Policy& policy);

[[nodiscard]] Json drift_metrics(const drift::Comparison& comparison);
[[nodiscard]] Json calibration_metrics(const std::vector<drift::LensLimit>& limits);
/// At most `most` tokens that moved. `tokenizer` may be null: then tokens have ids only.
[[nodiscard]] Json drift_contributions(const drift::Comparison& comparison,
                                       const text::Tokenizer* tokenizer, std::size_t most);

}  // namespace loraproof::commands
