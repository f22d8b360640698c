// SPDX-License-Identifier: Apache-2.0
// In which order a deployment quantises and merges, and what that does to each weight: the variants
// that quantcheck's lanes run with.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "loraproof/adapter/patch.h"
#include "loraproof/deploy/layer_inputs.h"
#include "loraproof/deploy/order.h"
#include "loraproof/deploy/recorded_variant.h"
#include "loraproof/quant/scheme.h"

namespace loraproof::deploy {

/// "A" to "E".
[[nodiscard]] std::string_view name_of(Order order);

struct DeploymentOptions {
  Order order = Order::QuantisedBase;
  const quant::Scheme* scheme = nullptr;       ///< null only for Merged
  const adapter::PatchSet* patches = nullptr;  ///< null: the base alone
  const adapter::BaseModules* modules = nullptr;
  at::ScalarType stored = at::kBFloat16;  ///< type of the weights in the checkpoint
  const LayerInputs* inputs = nullptr;    ///< of the reference, which runs before; may be null
  /// Modules that stay in 16 bit; empty: the library's defaults.
  std::function<bool(const std::string&)> skips = {};
};

/// Weights of one order.
class Deployment : public RecordedVariant {
 public:
  explicit Deployment(DeploymentOptions options) : options_(std::move(options)) {}

  [[nodiscard]] bool changes(const std::string& module) const override;
  [[nodiscard]] at::Tensor embedding(const at::Tensor& ids, const at::Tensor& rows) const override;

  /// Throws an input Error that names the first module whose shape the scheme does not take.
  void expect_shapes() const;
  /// The adapter's part that lanes of this order still apply beside the weights.
  [[nodiscard]] adapter::PatchSet patches_beside() const;

 private:
  [[nodiscard]] bool quantises(const std::string& module) const;
  /// Of a linear layer; what an adapter does to embeddings and norms stays beside the weights.
  [[nodiscard]] const adapter::ModulePatch* patch_of(const std::string& module) const;
  [[nodiscard]] bool is_linear(const std::string& module) const;
  [[nodiscard]] nn::LinearWeights make(const std::string& module,
                                       const nn::LinearWeights& base) const override;
  /// In the type that the library computes with.
  [[nodiscard]] at::Tensor quantised(const at::Tensor& weight, WeightDamage& damage) const;
  [[nodiscard]] quant::Inputs inputs_of(const std::string& module) const;
  void measure(const std::string& module, const nn::LinearWeights& stored,
               const at::Tensor& deployed, WeightDamage damage) const;

  DeploymentOptions options_;
};

}  // namespace loraproof::deploy
