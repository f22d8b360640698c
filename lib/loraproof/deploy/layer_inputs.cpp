// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/layer_inputs.h"

#include <ATen/ATen.h>
#include <algorithm>

#include "loraproof/deploy/quantised_inputs.h"
#include "loraproof/io/small_floats.h"

namespace loraproof::deploy {

void InputStatistics::add(const at::Tensor& inputs) {
  const at::Tensor magnitude = inputs.to(at::kFloat).abs();
  const at::Tensor squares = magnitude.square().sum(0, false, at::kDouble).cpu();
  const at::Tensor largest = magnitude.amax(0).cpu();
  squares_ = tokens_ == 0 ? squares : squares_ + squares;
  largest_ = tokens_ == 0 ? largest : at::maximum(largest_, largest);
  tokens_ += inputs.size(0);
}

at::Tensor InputStatistics::mean_squares() const { return squares_ / tokens_; }

double InputStatistics::largest() const { return largest_.max().item<double>(); }

std::int64_t InputStatistics::outlier_channels() const {
  return largest_.ge(quant::kOutlier).sum().item<std::int64_t>();
}

bool LayerInputs::changes(const std::string& module) const {
  return variant_ != nullptr && variant_->changes(module);
}

nn::LinearWeights LayerInputs::linear(const std::string& module,
                                      const nn::LinearWeights& base) const {
  nn::LinearWeights weights = variant_ == nullptr ? base : variant_->linear(module, base);
  if (stopped_) return weights;
  weights.inputs = [then = weights.inputs, &seen = seen_[module]](const at::Tensor& x) {
    seen.add(x);
    return then ? then(x) : x;
  };
  return weights;
}

at::Tensor LayerInputs::embedding(const at::Tensor& ids, const at::Tensor& rows) const {
  return variant_ == nullptr ? rows : variant_->embedding(ids, rows);
}

const InputStatistics* LayerInputs::find(const std::string& module) const {
  const auto seen = seen_.find(module);
  return seen == seen_.end() || seen->second.empty() ? nullptr : &seen->second;
}

std::function<at::Tensor(const at::Tensor&)> rounding_of(quant::Inputs inputs,
                                                         const std::string& module,
                                                         const LayerInputs* seen) {
  if (inputs.activations == quant::Activations::None) return {};
  if (inputs.activations == quant::Activations::E4m3Static && inputs.scale == 0) {
    const InputStatistics* statistics = seen == nullptr ? nullptr : seen->find(module);
    // Where nothing was seen, nothing runs through the layer.
    inputs.scale =
        statistics == nullptr ? 1 : std::max(statistics->largest() / io::kE4m3Largest, 1e-12);
  }
  return [inputs](const at::Tensor& x) { return quantised_inputs(inputs, x); };
}

}  // namespace loraproof::deploy
