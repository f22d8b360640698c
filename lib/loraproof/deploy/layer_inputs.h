// SPDX-License-Identifier: Apache-2.0
// What the linear layers of a lane get to see, in sums of fixed size: a variant that changes
// nothing and looks on.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "loraproof/engine/weight_variant.h"
#include "loraproof/quant/inputs.h"

namespace loraproof::deploy {

/// Of all inputs [N, I] of one layer.
class InputStatistics {
 public:
  void add(const at::Tensor& inputs);
  /// Nothing was added; there is nothing else to ask then.
  [[nodiscard]] bool empty() const { return tokens_ == 0; }

  /// Per channel [I] f64, on the CPU.
  [[nodiscard]] at::Tensor mean_squares() const;
  [[nodiscard]] double largest() const;
  /// Channels in which some input has a magnitude of quant::kOutlier or more.
  [[nodiscard]] std::int64_t outlier_channels() const;

 private:
  std::int64_t tokens_ = 0;
  at::Tensor squares_;  // [I] f64
  at::Tensor largest_;  // [I] f32
};

/// Used from one thread.
class LayerInputs : public engine::WeightVariant {
 public:
  /// `variant`: whose weights the lane has; null: the base's. Outlives this.
  explicit LayerInputs(const engine::WeightVariant* variant) : variant_(variant) {}

  [[nodiscard]] bool changes(const std::string& module) const override;
  [[nodiscard]] nn::LinearWeights linear(const std::string& module,
                                         const nn::LinearWeights& base) const override;
  [[nodiscard]] at::Tensor embedding(const at::Tensor& ids, const at::Tensor& rows) const override;

  /// Later runs of the lane are not counted.
  void stop() { stopped_ = true; }
  /// Null where nothing has been seen.
  [[nodiscard]] const InputStatistics* find(const std::string& module) const;

 private:
  const engine::WeightVariant* variant_;
  bool stopped_ = false;
  mutable std::map<std::string, InputStatistics> seen_;
};

/// nn::LinearWeights::inputs of a layer whose inputs are quantised; empty where they are not. What
/// `seen` has of the module gives the scale that `inputs` leaves open.
[[nodiscard]] std::function<at::Tensor(const at::Tensor&)> rounding_of(quant::Inputs inputs,
                                                                       const std::string& module,
                                                                       const LayerInputs* seen);

}  // namespace loraproof::deploy
