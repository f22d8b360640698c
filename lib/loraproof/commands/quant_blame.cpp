// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/quant_blame.h"

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <numeric>
#include <set>
#include <utility>

#include "loraproof/candidate/gguf_names.h"
#include "loraproof/core/json.h"
#include "loraproof/core/json_number.h"
#include "loraproof/stats/rank_correlation.h"

namespace loraproof::commands {
namespace {

// Lanes of one sweep, unless --memory wants fewer.
constexpr std::size_t kLanesAtOnce = 16;
// Of which swap() looks at every module.
constexpr std::size_t kWorstLayers = 3;
// Between two sets of which one is too small and one enough.
constexpr std::size_t kSteps = 8;

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

std::vector<std::size_t> Blame::module_ranking() const {
  std::vector<double> whole(layers.size());
  for (const ModuleBlame& module : modules)
    whole[static_cast<std::size_t>(module.layer)] += module.estimate;
  const auto blame_for_a_byte = [&](std::size_t i) {
    const ModuleBlame& module = modules[i];
    const auto layer = static_cast<std::size_t>(module.layer);
    const double part = whole[layer] > 0 ? module.estimate / whole[layer] : 0;
    const double blame =
        module.swap.value_or(layers[layer].swap.value_or(layers[layer].estimate) * part);
    return blame / static_cast<double>(std::max<std::uint64_t>(module.more_bytes, 1));
  };
  std::vector<std::size_t> order(modules.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::ranges::greater(), blame_for_a_byte);
  return order;
}

QuantBlame::QuantBlame(const GoldenJob& job, const QuantLanes& lanes,
                       const golden::Reference& reference, engine::LayerStore& store,
                       std::optional<std::uint64_t> memory, Progress& progress)
    : job_(job),
      lanes_(lanes),
      reference_(reference),
      store_(store),
      memory_(memory),
      progress_(progress) {}

std::vector<Blame> QuantBlame::estimate(const std::vector<const QuantLane*>& lanes) {
  std::vector<const engine::Lane*> judged;
  for (const QuantLane* lane : lanes) judged.push_back(&lane->lane);
  const auto errors = golden::layer_errors(store_, reference_.sequences,
                                           lanes_.lanes()[kReferenceLane].lane, judged, progress_);
  std::vector<Blame> blames;
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    Blame blame{.lane = lanes[i], .modules = modules_of(*lanes[i])};
    for (std::size_t layer = 0; layer < errors[i].size(); ++layer)
      blame.layers.push_back({static_cast<std::int64_t>(layer), errors[i][layer], {}, {}});
    blames.push_back(std::move(blame));
  }
  return blames;
}

std::vector<ModuleBlame> QuantBlame::modules_of(const QuantLane& lane) const {
  const std::size_t element = c10::elementSize(stored_type(job_.session.base.checkpoint));
  std::vector<ModuleBlame> modules;
  for (const auto& [module, damage] : lane.deployment->damage()) {
    if (layer_of(module) < 0) continue;
    const std::uint64_t in_16_bit = static_cast<std::uint64_t>(damage.change.elements) * element;
    modules.push_back({.module = module,
                       .layer = layer_of(module),
                       .estimate = damage.output_error(),
                       .more_bytes = in_16_bit - std::min(in_16_bit, damage.bytes)});
  }
  return modules;
}

engine::Lane QuantBlame::lane_with(const QuantLane& lane, const engine::WeightVariant& variant,
                                   const Partly& partly) const {
  const engine::Lane& reference = lanes_.lanes()[kReferenceLane].lane;
  engine::Lane mixed{.name = lane.lane.name, .patches = {}, .variant = &variant};
  for (const auto& [module, patch] : reference.patches)
    if (!partly.deployed(module)) mixed.patches.emplace(module, patch);
  for (const auto& [module, patch] : lane.lane.patches)
    if (partly.deployed(module)) mixed.patches.emplace(module, patch);
  return mixed;
}

std::vector<double> QuantBlame::answers_kld(const std::vector<golden::ComparedLane>& lanes) {
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

std::vector<double> QuantBlame::kld_of(const QuantLane& lane, const std::vector<Partly>& lanes) {
  const golden::ComparedLane reference{.lane = &lanes_.lanes()[kReferenceLane].lane};
  std::vector<double> klds;
  const std::size_t at_once = lanes_at_once();
  for (std::size_t begin = 0; begin < lanes.size(); begin += at_once) {
    const std::size_t end = std::min(begin + at_once, lanes.size());
    std::deque<engine::SelectedModules> variants;
    std::deque<engine::Lane> mixed;
    std::vector<golden::ComparedLane> compared{reference};
    for (std::size_t i = begin; i < end; ++i) {
      variants.emplace_back(*lane.deployment, lanes[i].deployed);
      mixed.push_back(lane_with(lane, variants.back(), lanes[i]));
      compared.push_back({.lane = &mixed.back()});
      if (lanes[i].from > 0) compared.back().fork = {.lane = 0, .layer = lanes[i].from};
    }
    for (const double kld : answers_kld(compared)) klds.push_back(kld);
  }
  return klds;
}

// A lane holds the hidden states of all tokens before and after a layer.
std::size_t QuantBlame::lanes_at_once() const {
  if (!memory_) return kLanesAtOnce;
  std::uint64_t tokens = 0;
  for (const golden::Sequence& sequence : reference_.sequences)
    tokens += static_cast<std::uint64_t>(sequence.rows());
  const std::uint64_t a_lane = 2 * tokens *
                               static_cast<std::uint64_t>(store_.config().hidden_size) *
                               c10::elementSize(job_.compute);
  const std::uint64_t lanes = *memory_ / 4 / std::max<std::uint64_t>(a_lane, 1);
  return std::clamp<std::size_t>(lanes, 1, kLanesAtOnce);
}

void QuantBlame::swap(Blame& blame) {
  swap_layers(blame);
  look_closer(blame);
}

void QuantBlame::swap_layers(Blame& blame) {
  std::vector<Partly> swapped;
  for (const LayerBlame& one : blame.layers) {
    swapped.push_back(
        {.deployed =
             [layer = one.layer](const std::string& module) { return layer_of(module) == layer; },
         .from = one.layer});
  }
  const std::vector<double> klds = kld_of(*blame.lane, swapped);
  std::vector<double> estimates;
  for (std::size_t i = 0; i < klds.size(); ++i) {
    blame.layers[i].swap = klds[i];
    estimates.push_back(blame.layers[i].estimate);
  }
  blame.correlation = stats::spearman(estimates, klds);
}

void QuantBlame::look_closer(Blame& blame) {
  std::vector<std::size_t> worst = blame.ranking();
  worst.resize(std::min(kWorstLayers, worst.size()));
  std::vector<Partly> lanes;
  std::vector<std::optional<double>*> results;
  for (const std::size_t place : worst) {
    LayerBlame& one = blame.layers[place];
    lanes.push_back({.deployed = [layer = one.layer](const std::string& module) {
      return layer_of(module) != layer;
    }});
    results.push_back(&one.left_out);
    for (ModuleBlame& module : blame.modules) {
      if (module.layer != one.layer) continue;
      lanes.push_back(
          {.deployed = [name = module.module](const std::string& other) { return other == name; },
           .from = one.layer});
      results.push_back(&module.swap);
    }
  }
  const std::vector<double> klds = kld_of(*blame.lane, lanes);
  for (std::size_t i = 0; i < klds.size(); ++i) *results[i] = klds[i];
}

std::vector<MixedPrecision> QuantBlame::tried(const Blame& blame,
                                              const std::vector<std::size_t>& ranking,
                                              const std::vector<std::size_t>& counts,
                                              double limit) {
  std::vector<MixedPrecision> sets;
  std::vector<Partly> lanes;
  for (const std::size_t count : counts) {
    MixedPrecision& set = sets.emplace_back();
    for (std::size_t i = 0; i < count; ++i) {
      const ModuleBlame& module = blame.modules[ranking[i]];
      set.kept.push_back(module.module);
      set.more_bytes += module.more_bytes;
    }
    lanes.push_back(
        {.deployed = [kept = std::set<std::string>(set.kept.begin(), set.kept.end())](
                         const std::string& module) { return !kept.contains(module); }});
  }
  const std::vector<double> klds = kld_of(*blame.lane, lanes);
  for (std::size_t i = 0; i < sets.size(); ++i) {
    sets[i].kld = klds[i];
    sets[i].within = klds[i] <= limit;
  }
  return sets;
}

MixedPrecision QuantBlame::suggest(const Blame& blame, double limit) {
  const std::vector<std::size_t> ranking = blame.module_ranking();
  std::vector<std::size_t> counts;
  for (std::size_t count = 1; count < ranking.size(); count *= 2) counts.push_back(count);
  counts.push_back(ranking.size());
  const std::vector<MixedPrecision> doubled = tried(blame, ranking, counts, limit);
  const auto first = std::ranges::find(doubled, true, &MixedPrecision::within);
  if (first == doubled.end()) return doubled.back();
  if (first == doubled.begin()) return *first;
  const std::size_t too_few = std::prev(first)->kept.size(), enough = first->kept.size();
  counts.clear();
  for (std::size_t step = 1; step < kSteps; ++step) {
    const std::size_t count = too_few + (enough - too_few) * step / kSteps;
    if (count > too_few && (counts.empty() || count > counts.back())) counts.push_back(count);
  }
  const std::vector<MixedPrecision> between = tried(blame, ranking, counts, limit);
  const auto fewest = std::ranges::find(between, true, &MixedPrecision::within);
  return fewest == between.end() ? *first : *fewest;
}

Json blame_metrics(const Blame& blame) {
  Json rows = Json::array();
  for (const std::size_t place : blame.ranking()) {
    const LayerBlame& layer = blame.layers[place];
    rows.push_back({{"layer", layer.layer},
                    {"scheme", blame.lane->scheme_name()},
                    {"deployment", deploy::name_of(*blame.lane->order)},
                    {"estimate", layer.estimate},
                    {"swap", number_or_null(layer.swap)},
                    {"left_out", number_or_null(layer.left_out)}});
  }
  return rows;
}

Json mixed_precision_metrics(const QuantLane& lane, const MixedPrecision& mixed) {
  std::vector<std::string> modules = mixed.kept;
  std::ranges::sort(modules);
  Json tensor_types = Json::array();
  for (const std::string& module : modules)
    tensor_types.push_back(candidate::gguf_name(module) + "=bf16");
  return {{"scheme", lane.scheme_name()},
          {"deployment", deploy::name_of(*lane.order)},
          {"modules", modules},
          {"kld_mean", mixed.kld},
          {"within_limit", mixed.within},
          {"more_bytes", mixed.more_bytes},
          {"llm_int8_skip_modules", modules},
          {"ignore", modules},
          {"modules_to_not_convert", modules},
          {"tensor_type", std::move(tensor_types)}};
}

}  // namespace loraproof::commands
