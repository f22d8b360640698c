// SPDX-License-Identifier: Apache-2.0
// Other weights in place of the base's, made from them when a sweep comes by: quantised, merged,
// those of another checkpoint.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "loraproof/model/decoder.h"
#include "loraproof/nn/linear.h"

namespace loraproof::engine {

class WeightVariant {
 public:
  WeightVariant() = default;
  WeightVariant(const WeightVariant&) = delete;
  WeightVariant& operator=(const WeightVariant&) = delete;
  virtual ~WeightVariant() = default;

  /// Whether anything stands in for the weight of `module`.
  [[nodiscard]] virtual bool changes(const std::string& module) const = 0;
  /// What stands in for the linear layer of `module` ("model.layers.0.mlp.up_proj", "lm_head"), in
  /// the type and on the device of `base`. `base` itself where nothing changes.
  [[nodiscard]] virtual nn::LinearWeights linear(const std::string& module,
                                                 const nn::LinearWeights& base) const = 0;
  /// What stands in for the embedding's rows [N, D] of `ids` [N] i64, on the CPU.
  [[nodiscard]] virtual at::Tensor embedding([[maybe_unused]] const at::Tensor& ids,
                                             const at::Tensor& rows) const {
    return rows;
  }
};

/// The variant in some modules, the base in all others.
class SelectedModules : public WeightVariant {
 public:
  /// `selected` says for a module whether the variant's weights are used; `variant` outlives this.
  SelectedModules(const WeightVariant& variant, std::function<bool(const std::string&)> selected)
      : variant_(variant), selected_(std::move(selected)) {}

  [[nodiscard]] bool changes(const std::string& module) const override {
    return selected_(module) && variant_.changes(module);
  }
  [[nodiscard]] nn::LinearWeights linear(const std::string& module,
                                         const nn::LinearWeights& base) const override {
    return selected_(module) ? variant_.linear(module, base) : base;
  }
  [[nodiscard]] at::Tensor embedding(const at::Tensor& ids, const at::Tensor& rows) const override {
    return selected_(model::kEmbedding) ? variant_.embedding(ids, rows) : rows;
  }

 private:
  const WeightVariant& variant_;
  std::function<bool(const std::string&)> selected_;
};

/// Layer `layer` with the variant's linear layers; norms stay.
[[nodiscard]] model::LayerWeights layer_of(const WeightVariant& variant,
                                           const model::DecoderConfig& config, std::int64_t layer,
                                           const model::LayerWeights& base);

}  // namespace loraproof::engine
