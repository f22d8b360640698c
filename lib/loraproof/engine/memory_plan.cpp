// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/memory_plan.h"

#include <algorithm>
#include <string>
#include <vector>

#include "loraproof/model/decoder.h"

namespace loraproof::engine {
namespace {

struct WeightBytes {
  std::vector<std::uint64_t> layers;
  std::uint64_t head = 0;
  std::uint64_t head_part = 0;
  std::uint64_t norm = 0;
  std::uint64_t total = 0;
};

WeightBytes measure(const io::Checkpoint& base, const model::DecoderConfig& config,
                    at::ScalarType compute) {
  const std::uint64_t element = c10::elementSize(compute);
  const auto bytes_of = [&](const std::string& name) {
    const io::TensorView* view = base.find(name);
    return view == nullptr ? 0 : static_cast<std::uint64_t>(view->numel()) * element;
  };
  WeightBytes bytes;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    std::uint64_t sum = 0;
    for (const auto& slot : model::layer_slots(config, layer)) sum += bytes_of(slot.name);
    bytes.layers.push_back(sum);
  }
  bytes.head = bytes_of(model::head_weight_name(config, base));
  const auto vocab = static_cast<std::uint64_t>(std::max<std::int64_t>(1, config.vocab_size));
  bytes.head_part = bytes.head / vocab * std::min<std::uint64_t>(vocab, kHeadPartRows);
  bytes.norm = bytes_of(std::string(model::kFinalNorm) + ".weight");
  for (const io::TensorView& view : base.views()) {
    bytes.total += static_cast<std::uint64_t>(view.numel()) * element;
  }
  return bytes;
}

// Spends what the layers in flight leave of the budget: the head first (every pass over logits
// reads it), then layers from the front (the next sweep starts with them).
void keep_what_fits(MemoryPlan& plan, const WeightBytes& bytes, std::uint64_t budget) {
  std::uint64_t fixed = bytes.norm;
  const std::uint64_t in_flight = 2 * plan.largest_layer_bytes;
  std::uint64_t part = bytes.head_part;
  if (fixed + in_flight + bytes.head <= budget) {
    plan.keep_head = true;
    fixed += bytes.head;
    part = 0;
  }
  for (const std::uint64_t layer : bytes.layers) {
    if (fixed + layer + std::max(in_flight, part) > budget) break;
    fixed += layer;
    ++plan.kept_layers;
  }
  plan.held_bytes = fixed + std::max(in_flight, part);
}

}  // namespace

MemoryPlan plan_memory(const io::Checkpoint& base, const model::DecoderConfig& config,
                       at::ScalarType compute, std::optional<std::uint64_t> budget_bytes) {
  const WeightBytes bytes = measure(base, config, compute);
  MemoryPlan plan{.total_bytes = bytes.total, .head_part_bytes = bytes.head_part};
  for (const std::uint64_t layer : bytes.layers) {
    plan.largest_layer_bytes = std::max(plan.largest_layer_bytes, layer);
  }
  if (!budget_bytes || bytes.total <= *budget_bytes) {
    plan.kept_layers = config.num_layers;
    plan.keep_head = true;
    plan.held_bytes = bytes.total;
    return plan;
  }
  const auto need = [&](std::uint64_t layers) {
    return bytes.norm + std::max(layers * plan.largest_layer_bytes, bytes.head_part);
  };
  plan.prefetch = need(2) <= *budget_bytes;
  if (plan.prefetch) {
    keep_what_fits(plan, bytes, *budget_bytes);
  } else {
    plan.held_bytes = need(1);
    plan.within_budget = plan.held_bytes <= *budget_bytes;
  }
  return plan;
}

}  // namespace loraproof::engine
