// SPDX-License-Identifier: Apache-2.0
// How much an adapter does to its base, from the weights alone: ‖D‖ and ⟨W, D⟩ with D = s·B·A,
// never formed: everything goes through r×r Gram matrices and W·Aᵀ, in f64, in row blocks of W.
#pragma once

#include <ATen/core/Tensor.h>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "loraproof/adapter/patch.h"

namespace loraproof::adapter {

/// The numbers of one module, and their sums over modules.
struct ModuleEffect {
  double weight_norm2 = 0.0;     ///< ‖W‖²
  double delta_norm2 = 0.0;      ///< ‖D‖²
  double inner = 0.0;            ///< ⟨W, D⟩
  double effective_norm2 = 0.0;  ///< ‖W' − W‖²: with DoRA after the magnitude, else ‖D‖²
  double chance2 = 0.0;  ///< ‖W‖²·‖D‖²/numel(W): variance of ⟨W, D⟩ if W were noise

  /// ‖W' − W‖ / ‖W‖
  [[nodiscard]] double ratio() const;
};

/// Measures what each of several adapters does to one module; the weight is converted once for all
/// of them. `weight` [O, I] (embedding [V, D]) of any floating type, on the CPU; every patch must
/// carry LoRA. Memory: one block of rows in f64 (1 MiB) and the patches' factors in f64.
[[nodiscard]] std::vector<ModuleEffect> measure_effects(std::span<const ModulePatch* const> patches,
                                                        const at::Tensor& weight,
                                                        BaseModule::Kind kind);
/// The same for one adapter.
[[nodiscard]] ModuleEffect measure_effect(const ModulePatch& patch, const at::Tensor& weight,
                                          BaseModule::Kind kind);

/// Collects the modules of one adapter, in any order; the sums are taken in the order of the names,
/// so that they do not depend on it.
class EffectSums {
 public:
  /// False for a patch that replaces the weight, or has no LoRA: it has no D.
  [[nodiscard]] static bool counts(const ModulePatch& patch);
  void add(const std::string& module, const ModuleEffect& effect) { modules_[module] = effect; }
  /// Measures the module; passes over a patch that does not count.
  void add(const std::string& module, const ModulePatch& patch, const at::Tensor& weight,
           BaseModule::Kind kind);

  /// c = Σ⟨W, D⟩ / Σ‖D‖²: near 0 on the base the adapter was trained on, near 1 when W already
  /// contains D. NaN without modules or effect.
  [[nodiscard]] double merged_coefficient() const;
  /// Standard deviation of c if W had nothing to do with D: c says nothing where this is not small.
  [[nodiscard]] double merged_coefficient_sigma() const;

  [[nodiscard]] const std::map<std::string, ModuleEffect>& modules() const { return modules_; }

 private:
  std::map<std::string, ModuleEffect> modules_;
};

/// What effect.scale is judged by.
struct ScaleSummary {
  std::int64_t modules = 0;
  double median_ratio = 0.0;  ///< of ‖W' − W‖/‖W‖ over the modules
  double max_ratio = 0.0;
  std::string max_module;
  /// The median under the other convention: alpha/r instead of alpha/sqrt(r), or the reverse.
  double other_median_ratio = 0.0;
};
[[nodiscard]] ScaleSummary summarise_scale(const EffectSums& sums, const PatchSet& patches,
                                           bool use_rslora);

}  // namespace loraproof::adapter
