// SPDX-License-Identifier: Apache-2.0
// What a run costs: measured (--timings) or planned (--dry-run).
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/commands/inputs.h"
#include "loraproof/core/json_fwd.h"
#include "loraproof/engine/layer_store.h"

namespace loraproof::commands {

/// Starts its clock when made.
class RunFigures {
 public:
  /// {seconds, peak_rss_bytes, bytes_read, resident}
  [[nodiscard]] Json json(const engine::LayerStore& store) const;

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// What a run would read, hold and compute, from headers alone: whether the weights stay or are
/// streamed, bytes and FLOPs of one sweep of one lane, and an estimate of the peak memory by part.
/// No time: that would need rates of this machine, which nobody has measured yet.
/// `answer_tokens`: recorded answers over all prompts, where known.
[[nodiscard]] Json plan_json(const BaseInput& base, const EngineOptions& engine,
                             const std::vector<std::vector<std::int32_t>>& prompt_ids,
                             at::ScalarType compute, std::int64_t answer_tokens = 0);

}  // namespace loraproof::commands
