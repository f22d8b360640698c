// SPDX-License-Identifier: Apache-2.0
// Which layers a deployment's damage comes from, and which to keep in 16 bit so that it gets under
// the limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/commands/quant_lanes.h"
#include "loraproof/core/json_fwd.h"
#include "loraproof/core/progress.h"
#include "loraproof/golden/reference.h"

namespace loraproof::commands {

/// One layer of one deployment.
struct LayerBlame {
  std::int64_t layer = 0;
  double estimate = 0;             ///< engine::layer_errors: change of the layer's own output
  std::optional<double> swap;      ///< KLD of answers with this layer deployed and all others not
  std::optional<double> left_out;  ///< with all but this layer deployed
};

/// One linear layer of one deployment.
struct ModuleBlame {
  std::string module;
  std::int64_t layer = 0;
  double estimate = 0;           ///< deploy::WeightDamage::output_error
  std::optional<double> swap;    ///< KLD of answers with this module deployed and all others not
  std::uint64_t more_bytes = 0;  ///< of the module in 16 bit
};

struct Blame {
  const QuantLane* lane = nullptr;
  std::vector<LayerBlame> layers;    ///< by layer
  std::vector<ModuleBlame> modules;  ///< of the layers, by name
  /// Spearman's rank correlation of estimate and swap; nothing without swaps.
  std::optional<double> correlation;

  /// Places in `layers`, the worst first: by swap where there is one.
  [[nodiscard]] std::vector<std::size_t> ranking() const;
  /// Places in `modules`, in the order in which to keep them in 16 bit: the most blame for a byte
  /// first. A module has its own swap, or its part of its layer's blame by the estimates.
  [[nodiscard]] std::vector<std::size_t> module_ranking() const;
};

/// A set of modules that stay in 16 bit, and what a sweep with them came to.
struct MixedPrecision {
  std::vector<std::string> kept;  ///< the worst first
  double kld = 0;
  bool within = false;           ///< under the limit
  std::uint64_t more_bytes = 0;  ///< than the whole deployment
};

class QuantBlame {
 public:
  /// `lanes` holds the reference at kReferenceLane. Of `memory`, in bytes, a quarter may go to the
  /// lanes of one sweep; nothing: as many lanes as are useful.
  QuantBlame(const GoldenJob& job, const QuantLanes& lanes, const golden::Reference& reference,
             engine::LayerStore& store, std::optional<std::uint64_t> memory, Progress& progress);

  /// One pass over the base for all lanes.
  [[nodiscard]] std::vector<Blame> estimate(const std::vector<const QuantLane*>& lanes);
  /// Exact: one lane for each layer, forking from the reference where the layer begins. Then one
  /// for each module of the worst layers, and one for each of these layers left out.
  void swap(Blame& blame);
  /// The fewest modules of the ranking with which the deployment's KLD of answers is at most
  /// `limit`, found in two sweeps: by doubling, then between the last two. All modules where even
  /// those don't do.
  [[nodiscard]] MixedPrecision suggest(const Blame& blame, double limit);

 private:
  /// A deployment in some modules, the reference in all others.
  struct Partly {
    std::function<bool(const std::string& module)> deployed;
    std::int64_t from = 0;  ///< the reference up to this layer
  };
  /// KLD of answers with each of them.
  [[nodiscard]] std::vector<double> kld_of(const QuantLane& lane, const std::vector<Partly>& lanes);
  [[nodiscard]] engine::Lane lane_with(const QuantLane& lane, const engine::WeightVariant& variant,
                                       const Partly& partly) const;
  [[nodiscard]] std::vector<double> answers_kld(const std::vector<golden::ComparedLane>& lanes);
  [[nodiscard]] std::size_t lanes_at_once() const;
  [[nodiscard]] std::vector<ModuleBlame> modules_of(const QuantLane& lane) const;
  void swap_layers(Blame& blame);
  void look_closer(Blame& blame);
  [[nodiscard]] std::vector<MixedPrecision> tried(const Blame& blame,
                                                  const std::vector<std::size_t>& ranking,
                                                  const std::vector<std::size_t>& counts,
                                                  double limit);

  const GoldenJob& job_;
  const QuantLanes& lanes_;
  const golden::Reference& reference_;
  engine::LayerStore& store_;
  std::optional<std::uint64_t> memory_;
  Progress& progress_;
};

/// {layer, scheme, deployment, estimate, swap, left_out}
[[nodiscard]] Json blame_metrics(const Blame& blame);
/// The same set in the words of bitsandbytes, compressed-tensors, AWQ and GPTQ, and llama.cpp.
[[nodiscard]] Json mixed_precision_metrics(const QuantLane& lane, const MixedPrecision& mixed);

}  // namespace loraproof::commands
