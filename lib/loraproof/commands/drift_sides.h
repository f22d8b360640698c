// SPDX-License-Identifier: Apache-2.0
// The two sides of a comparison, read from profiles or made from logs.
#pragma once

#include <optional>
#include <vector>

#include "loraproof/commands/drift_compare.h"
#include "loraproof/drift/run.h"
#include "loraproof/report/measure.h"

namespace loraproof::commands {

struct DriftSides {
  std::optional<drift::Encoder> encoder;  ///< of --tokenizer
  drift::Profile reference;
  drift::Profile window;
  std::vector<drift::Segment> calibration;  ///< windows of the reference, with `calibrate`
  std::vector<report::Measure> malformed;   ///< of each side that is a log
};
/// Usage Error for options that don't fit what the sides are.
[[nodiscard]] DriftSides read_drift_sides(const DriftCompareOptions& options, Context& context);

}  // namespace loraproof::commands
