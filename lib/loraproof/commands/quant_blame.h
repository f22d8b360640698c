// SPDX-License-Identifier: Apache-2.0
// Which layers a deployment's damage comes from, and which to keep in 16 bit so that it gets under
// the limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/commands/quant_lanes.h"
#include "loraproof/core/json.h"
#include "loraproof/core/progress.h"
#include "loraproof/golden/reference.h"

namespace loraproof::commands {

/// One layer of one deployment.
struct LayerBlame {
  std::int64_t layer = 0;
  double estimate = 0;         ///< engine::layer_errors: change of the layer's own output
  std::optional<double> swap;  ///< KLD of answers with this layer deployed and all others not
};

struct Blame {
  const QuantLane* lane = nullptr;
  std::vector<LayerBlame> layers;  ///< by layer
  /// Spearman's rank correlation of estimate and swap; nothing without swaps.
  std::optional<double> correlation;

  /// Places in `layers`, the worst first: by swap where there is one.
  [[nodiscard]] std::vector<std::size_t> ranking() const;
};

/// A set of layers that stay in 16 bit, and what a sweep with them came to.
struct MixedPrecision {
  std::vector<std::int64_t> kept;  ///< layers, the worst first
  double kld = 0;
  bool within = false;           ///< under the limit
  std::uint64_t more_bytes = 0;  ///< than the whole deployment
};

class QuantBlame {
 public:
  /// `lanes` holds the reference at kReferenceLane.
  QuantBlame(const GoldenJob& job, const QuantLanes& lanes, const golden::Reference& reference,
             engine::LayerStore& store, Progress& progress);

  /// One pass over the base for all lanes.
  [[nodiscard]] std::vector<Blame> estimate(const std::vector<const QuantLane*>& lanes);
  /// Exact: one lane for each layer, forking from the reference where the layer begins.
  void swap(Blame& blame);
  /// The fewest layers, of 1, 2, 4... of the ranking, with which the deployment's KLD of answers is
  /// at most `limit`; all that were tried in one sweep. Nothing where even half of them don't do.
  [[nodiscard]] MixedPrecision suggest(const Blame& blame, double limit);

 private:
  [[nodiscard]] engine::Lane lane_with(const QuantLane& lane, const engine::WeightVariant& variant,
                                       const std::function<bool(std::int64_t)>& deployed) const;
  [[nodiscard]] std::vector<double> kld_of(const std::vector<golden::ComparedLane>& lanes);

  const GoldenJob& job_;
  const QuantLanes& lanes_;
  const golden::Reference& reference_;
  engine::LayerStore& store_;
  Progress& progress_;
};

/// {layer, scheme, deployment, estimate, swap}
[[nodiscard]] Json blame_metrics(const Blame& blame);
/// The same set in the words of bitsandbytes, compressed-tensors, AWQ and GPTQ, and llama.cpp.
[[nodiscard]] Json mixed_precision_metrics(const QuantLane& lane, const MixedPrecision& mixed);

}  // namespace loraproof::commands
