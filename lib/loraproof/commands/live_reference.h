// SPDX-License-Identifier: Apache-2.0
// The base with its adapter unmerged, run now: what other deployments of the two are compared with.
#pragma once

#include <cstdint>
#include <vector>

#include "loraproof/commands/golden_job.h"
#include "loraproof/commands/inputs.h"
#include "loraproof/golden/reference.h"

namespace loraproof::commands {

struct LiveReferenceRequest {
  const GoldenJob& job;  ///< its first adapter is run
  const TextInput& text;
  const std::vector<std::vector<std::int32_t>>& prompt_ids;
  const report::ToolInfo& tool;
  /// Recorded answers of this adapter to these prompts save the decoding, where this run agrees
  /// with them in every token.
  bool take_recorded = true;
};

/// Answers, distributions, noise floor and what the base does on the same answers.
[[nodiscard]] golden::Reference live_reference(const LiveReferenceRequest& request,
                                               engine::LayerStore& store, Progress& progress);

}  // namespace loraproof::commands
