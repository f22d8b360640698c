// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/run_figures.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <sys/resource.h>

#include "loraproof/model/decoder.h"

namespace loraproof::commands {

Json RunFigures::json(const engine::LayerStore& store) const {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  return {{"seconds", elapsed.count()},
          {"peak_rss_bytes", static_cast<std::int64_t>(usage.ru_maxrss) * 1024},
          {"bytes_read", store.bytes_read()},
          {"resident", store.resident()}};
}

Json plan_json(const BaseInput& base, const EngineOptions& engine,
               const std::vector<std::vector<std::int32_t>>& prompt_ids, at::ScalarType compute) {
  std::int64_t tokens = 0;
  for (const auto& ids : prompt_ids) tokens += static_cast<std::int64_t>(ids.size());
  const auto bytes_of = [&](const std::string& name) {
    const io::TensorView* view = base.checkpoint.find(name);
    return view == nullptr ? std::int64_t{0}
                           : view->numel() * static_cast<std::int64_t>(at::elementSize(compute));
  };
  std::int64_t all = 0, largest_layer = 0;
  for (const io::TensorView& view : base.checkpoint.views()) {
    all += view.numel() * static_cast<std::int64_t>(at::elementSize(compute));
  }
  for (std::int64_t layer = 0; layer < base.config.num_layers; ++layer) {
    std::int64_t bytes = 0;
    for (const auto& slot : model::layer_slots(base.config, layer)) bytes += bytes_of(slot.name);
    largest_layer = std::max(largest_layer, bytes);
  }
  const bool resident =
      !engine.memory_bytes || static_cast<std::uint64_t>(all) <= *engine.memory_bytes;
  return {{"prompts", prompt_ids.size()},
          {"prompt_tokens", tokens},
          {"layers", base.config.num_layers},
          {"stored_bytes", base.checkpoint.total_bytes()},
          {"weights", resident ? "resident" : "streamed"},
          {"weights_bytes_held", resident ? all : largest_layer}};
}

}  // namespace loraproof::commands
