// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/quant_blame.h"

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <numeric>
#include <utility>

#include "loraproof/stats/rank_correlation.h"

namespace loraproof::commands {
namespace {

// Lanes of one sweep. Each holds hidden states for all tokens of the suite.
constexpr std::size_t kLanesAtOnce = 16;

// The layer that a module belongs to; -1: none.
std::int64_t layer_of(const std::string& module) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!module.starts_with(kPrefix)) return -1;
  return std::stoll(module.substr(kPrefix.size()));
}

}  // namespace

std::vector<std::size_t> Blame::ranking() const {
  std::vector<std::size_t> order(layers.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::ranges::greater(), [&](std::size_t i) {
    return layers[i].swap.value_or(layers[i].estimate);
  });
  return order;
}

QuantBlame::QuantBlame(const GoldenJob& job, const QuantLanes& lanes,
                       const golden::Reference& reference, engine::LayerStore& store,
                       Progress& progress)
    : job_(job), lanes_(lanes), reference_(reference), store_(store), progress_(progress) {}

std::vector<Blame> QuantBlame::estimate(const std::vector<const QuantLane*>& lanes) {
  std::vector<const engine::Lane*> judged;
  for (const QuantLane* lane : lanes) judged.push_back(&lane->lane);
  const auto errors = golden::layer_errors(store_, reference_.sequences,
                                           lanes_.lanes()[kReferenceLane].lane, judged, progress_);
  std::vector<Blame> blames;
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    Blame blame{.lane = lanes[i]};
    for (std::size_t layer = 0; layer < errors[i].size(); ++layer)
      blame.layers.push_back({static_cast<std::int64_t>(layer), errors[i][layer], {}});
    blames.push_back(std::move(blame));
  }
  return blames;
}

// The deployment in some layers, the reference in all others. What lies beside the layers
// (embeddings, head) is the deployment's where `deployed(-1)` says so.
engine::Lane QuantBlame::lane_with(const QuantLane& lane, const engine::WeightVariant& variant,
                                   const std::function<bool(std::int64_t)>& deployed) const {
  const engine::Lane& reference = lanes_.lanes()[kReferenceLane].lane;
  engine::Lane mixed{.name = lane.lane.name, .patches = {}, .variant = &variant};
  for (const auto& [module, patch] : reference.patches)
    if (!deployed(layer_of(module))) mixed.patches.emplace(module, patch);
  for (const auto& [module, patch] : lane.lane.patches)
    if (deployed(layer_of(module))) mixed.patches.emplace(module, patch);
  return mixed;
}

std::vector<double> QuantBlame::kld_of(const std::vector<golden::ComparedLane>& lanes) {
  const auto found = golden::diverge(
      store_,
      {.sequences = reference_.sequences, .lanes = lanes, .rows = golden::RowsRead::Answers},
      progress_);
  const golden::RowPlaces places = golden::row_places(reference_.sequences);
  std::vector<double> means;
  for (std::size_t i = 1; i < found.size(); ++i) {
    double sum = 0, count = 0;
    for (std::size_t row = 0; row < places.is_answer.size(); ++row) {
      if (!places.is_answer[row]) continue;
      sum += found[i].tokens[row].kld;
      ++count;
    }
    means.push_back(count > 0 ? sum / count : 0);
  }
  return means;
}

void QuantBlame::swap(Blame& blame) {
  const golden::ComparedLane reference{.lane = &lanes_.lanes()[kReferenceLane].lane};
  for (std::size_t begin = 0; begin < blame.layers.size(); begin += kLanesAtOnce) {
    const std::size_t end = std::min(begin + kLanesAtOnce, blame.layers.size());
    std::deque<engine::SelectedModules> variants;
    std::deque<engine::Lane> swapped;
    std::vector<golden::ComparedLane> compared{reference};
    for (std::size_t i = begin; i < end; ++i) {
      const std::int64_t layer = blame.layers[i].layer;
      variants.emplace_back(*blame.lane->deployment, [layer](const std::string& module) {
        return layer_of(module) == layer;
      });
      swapped.push_back(lane_with(*blame.lane, variants.back(),
                                  [layer](std::int64_t other) { return other == layer; }));
      compared.push_back({.lane = &swapped.back(), .fork = {{.lane = 0, .layer = layer}}});
    }
    const std::vector<double> klds = kld_of(compared);
    for (std::size_t i = begin; i < end; ++i) blame.layers[i].swap = klds[i - begin];
  }
  std::vector<double> estimates, swaps;
  for (const LayerBlame& layer : blame.layers) {
    estimates.push_back(layer.estimate);
    swaps.push_back(*layer.swap);
  }
  blame.correlation = stats::spearman(estimates, swaps);
}

MixedPrecision QuantBlame::suggest(const Blame& blame, double limit) {
  const std::vector<std::size_t> ranking = blame.ranking();
  std::vector<MixedPrecision> tried;
  for (std::size_t count = 1; count <= ranking.size(); count *= 2) {
    MixedPrecision mixed;
    for (std::size_t i = 0; i < count; ++i) mixed.kept.push_back(blame.layers[ranking[i]].layer);
    tried.push_back(std::move(mixed));
  }
  std::deque<engine::SelectedModules> variants;
  std::deque<engine::Lane> lanes;
  std::vector<golden::ComparedLane> compared{{.lane = &lanes_.lanes()[kReferenceLane].lane}};
  for (const MixedPrecision& mixed : tried) {
    const auto deployed = [kept = mixed.kept](std::int64_t layer) {
      return std::ranges::find(kept, layer) == kept.end();
    };
    variants.emplace_back(*blame.lane->deployment, [deployed](const std::string& module) {
      return deployed(layer_of(module));
    });
    lanes.push_back(lane_with(*blame.lane, variants.back(), deployed));
    compared.push_back({.lane = &lanes.back()});
  }
  const std::vector<double> klds = kld_of(compared);
  const auto& damage = blame.lane->deployment->damage();
  for (std::size_t i = 0; i < tried.size(); ++i) {
    tried[i].kld = klds[i];
    tried[i].within = klds[i] <= limit;
    for (const auto& [module, one] : damage) {
      if (std::ranges::find(tried[i].kept, layer_of(module)) == tried[i].kept.end()) continue;
      const auto element =
          static_cast<std::uint64_t>(c10::elementSize(stored_type(job_.session.base.checkpoint)));
      tried[i].more_bytes += static_cast<std::uint64_t>(one.change.elements) * element - one.bytes;
    }
  }
  const auto first = std::ranges::find(tried, true, &MixedPrecision::within);
  return first == tried.end() ? tried.back() : *first;
}

Json blame_metrics(const Blame& blame) {
  Json rows = Json::array();
  for (const std::size_t place : blame.ranking()) {
    const LayerBlame& layer = blame.layers[place];
    rows.push_back({{"layer", layer.layer},
                    {"scheme", blame.lane->scheme_name()},
                    {"deployment", deploy::name_of(*blame.lane->order)},
                    {"estimate", layer.estimate},
                    {"swap", layer.swap ? Json(*layer.swap) : Json(nullptr)}});
  }
  return rows;
}

Json mixed_precision_metrics(const QuantLane& lane, const MixedPrecision& mixed) {
  std::vector<std::int64_t> layers = mixed.kept;
  std::ranges::sort(layers);
  Json modules = Json::array(), ignore = Json::array(), tensor_types = Json::array();
  for (const std::int64_t layer : layers) {
    modules.push_back(fmt::format("model.layers.{}", layer));
    ignore.push_back(fmt::format("re:model\\.layers\\.{}\\..*", layer));
    tensor_types.push_back(fmt::format("blk\\.{}\\..*=bf16", layer));
  }
  return {{"scheme", lane.scheme_name()},
          {"deployment", deploy::name_of(*lane.order)},
          {"layers", layers},
          {"kld_mean", mixed.kld},
          {"within_limit", mixed.within},
          {"more_bytes", mixed.more_bytes},
          {"llm_int8_skip_modules", modules},
          {"ignore", std::move(ignore)},
          {"modules_to_not_convert", modules},
          {"tensor_type", std::move(tensor_types)}};
}

}  // namespace loraproof::commands
