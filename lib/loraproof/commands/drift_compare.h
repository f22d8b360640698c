// SPDX-License-Identifier: Apache-2.0
// `loraproof drift compare REF CUR`, and its short form `loraproof drift REF CUR`: has the traffic
// moved? Either side is a profile or a log that is profiled on the way. No libtorch.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/commands/drift_profile.h"
#include "loraproof/commands/drift_prometheus.h"
#include "loraproof/commands/drift_sequence.h"
#include "loraproof/drift/calibrate.h"

namespace loraproof::commands {

inline constexpr std::array kCalibrationNames{
    Choice<drift::Calibration>{drift::Calibration::Random, "random"},
    Choice<drift::Calibration>{drift::Calibration::Time, "time"}};
[[nodiscard]] inline drift::Calibration parse_calibration(std::string_view name) {
  return parse_choice(kCalibrationNames, name, "--calibrate");
}

struct DriftCompareOptions {
  std::string reference;
  std::string window;
  DriftLogOptions log;  ///< how logs are read; `inputs` is not used
  /// The flags of `log` that were given: a usage Error where neither side is a log.
  std::vector<std::string> log_flags;
  /// Limits of effects from the reference, which then must be a log; nullopt: those of the policy.
  std::optional<drift::Calibration> calibrate;
  DriftSequenceOptions sequence;
  DriftPrometheusOptions prometheus;
  PolicyOptions policy;
};
[[nodiscard]] report::Report drift_compare(const DriftCompareOptions& options, Context& context);

}  // namespace loraproof::commands
