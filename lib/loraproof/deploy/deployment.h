// SPDX-License-Identifier: Apache-2.0
// In which order a deployment quantises and merges, and what that does to each weight: the variants
// that quantcheck's lanes run with.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "loraproof/adapter/patch.h"
#include "loraproof/engine/weight_variant.h"
#include "loraproof/quant/scheme.h"

namespace loraproof::deploy {

/// W the base's weight, D the adapter's change, Q the scheme.
enum class Order {
  QuantisedBase,        ///< A: Q(W), the adapter beside it in 16 bit
  MergedThenQuantised,  ///< B: Q(W + D)
  Merged,               ///< C: W + D rounded to the weight's type; no scheme
  MergedIntoQuantised,  ///< D: Q(Q(W) + D)
  MergedOntoTrained     ///< E: Q(W) + D in 16 bit, Q what the adapter was trained on
};
/// "A" to "E".
[[nodiscard]] std::string_view name_of(Order order);

/// What happened to one weight, in f32 sums. E is the deployed change: deployed weight - W.
struct WeightDamage {
  std::int64_t elements = 0;
  double intended2 = 0;  ///< <D,D>
  double survived = 0;   ///< <E,D>
  double actual2 = 0;    ///< <E,E>
  double base2 = 0;      ///< <W,W>
  double error2 = 0;     ///< of what quantising alone changed
  std::uint64_t bytes = 0;
  quant::Tally tally;

  WeightDamage& operator+=(const WeightDamage& other);
  /// <E,D>/<D,D>; 1 without an intended change.
  [[nodiscard]] double rho() const;
  /// |E - rho D| / |D|.
  [[nodiscard]] double noise() const;
  /// Of quantising, in dB: 10 log10(<W,W> / error2); infinite without an error.
  [[nodiscard]] double sqnr() const;
};

struct DeploymentOptions {
  Order order = Order::QuantisedBase;
  const quant::Scheme* scheme = nullptr;       ///< null only for Merged
  const adapter::PatchSet* patches = nullptr;  ///< null: the base alone
  at::ScalarType stored = at::kBFloat16;       ///< type of the weights in the checkpoint
  /// Modules that stay in 16 bit; empty: the library's defaults.
  std::function<bool(const std::string&)> skips = {};
};

/// Makes weights as they are asked for; remembers the damage to each module from the first time.
/// Used from one thread.
class Deployment : public engine::WeightVariant {
 public:
  explicit Deployment(DeploymentOptions options) : options_(std::move(options)) {}

  [[nodiscard]] bool changes(const std::string& module) const override;
  [[nodiscard]] nn::LinearWeights linear(const std::string& module,
                                         const nn::LinearWeights& base) const override;
  [[nodiscard]] at::Tensor embedding(const at::Tensor& rows) const override;

  /// The adapter's part that lanes of this order still apply beside the weights.
  [[nodiscard]] adapter::PatchSet patches_beside() const;
  /// By module, of those that were asked for.
  [[nodiscard]] const std::map<std::string, WeightDamage>& damage() const { return damage_; }
  /// While set, made weights are kept: for decoding, which asks for each many times.
  void keep(bool kept) const;

 private:
  [[nodiscard]] bool quantises(const std::string& module) const;
  [[nodiscard]] const adapter::ModulePatch* patch_of(const std::string& module) const;
  [[nodiscard]] nn::LinearWeights make(const std::string& module,
                                       const nn::LinearWeights& base) const;
  [[nodiscard]] at::Tensor quantised(const std::string& module, const at::Tensor& weight,
                                     WeightDamage& damage) const;
  void measure(const std::string& module, const at::Tensor& weight, const at::Tensor& deployed,
               WeightDamage damage) const;

  DeploymentOptions options_;
  mutable std::map<std::string, WeightDamage> damage_;
  mutable bool kept_ = false;
  mutable std::map<std::string, nn::LinearWeights> made_;
};

}  // namespace loraproof::deploy
