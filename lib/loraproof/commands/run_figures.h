// SPDX-License-Identifier: Apache-2.0
// What a run costs: measured (--timings) or planned (--dry-run).
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/commands/inputs.h"
#include "loraproof/core/json.h"
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

/// {prompts, prompt_tokens, layers, weights_bytes, weights, memory_bytes}: what a run would read
/// and hold, from headers alone.
[[nodiscard]] Json plan_json(const BaseInput& base, const EngineOptions& engine,
                             const std::vector<std::vector<std::int32_t>>& prompt_ids,
                             at::ScalarType compute);

}  // namespace loraproof::commands
