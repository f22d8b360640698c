// SPDX-License-Identifier: Apache-2.0
// The same figures for each slice of a suite, judged by the slice's own limits.
#pragma once

#include <string>
#include <vector>

#include "loraproof/commands/golden_job.h"

namespace loraproof::commands {

struct SliceResult {
  /// Those that suite.yaml gives a limit for this slice; subject "LANE, slice NAME".
  std::vector<report::Check> checks;
  /// Per slice of any prompt: prompts, and the main figures.
  Json metrics = Json::object();
};
[[nodiscard]] SliceResult judge_slices(const GoldenJob& job, const Behaviour& behaviour,
                                       const std::string& lane);

}  // namespace loraproof::commands
