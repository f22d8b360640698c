// SPDX-License-Identifier: Apache-2.0
// Where each tensor of an adapter file goes. Decided by what PEFT 0.21.2 would load: a tensor that
// PEFT would pass over in silence is a finding here, and so is a target that gets no tensors. Works
// on the file's bytes, without libtorch; landing.h makes what a forward needs of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/adapter/base_modules.h"
#include "loraproof/adapter/config.h"
#include "loraproof/adapter/finding.h"
#include "loraproof/adapter/method_keys.h"
#include "loraproof/io/safetensors.h"

namespace loraproof::adapter {

/// What an adapter of another method than LoRA holds for one module: all that the method has there,
/// of VeRA with the shared projections.
struct PlacedMethod {
  Method method = Method::Ia3;
  const MethodSettings* settings = nullptr;  ///< of the configuration
  bool feedforward = false;                  ///< IA3: the inputs are scaled
  std::map<MethodPart, const io::TensorView*> parts;
};

/// What the adapter holds for one base module, as it lies in the file: null where there is nothing.
/// Shapes and values are checked; valid as long as the file.
struct PlacedModule {
  /// [R, I]; for an embedding [R, V]; a convolution [R, I, kernel]; experts [E·R, I], expert by
  /// expert
  const io::TensorView* lora_a = nullptr;
  /// [O, R]; for an embedding [D, R]; a convolution [O, R, 1...]; experts [O, R·E], the ranks of
  /// all experts before the next
  const io::TensorView* lora_b = nullptr;
  const io::TensorView* lora_bias = nullptr;   ///< [O]: lora_B.bias (lora_bias=true)
  const io::TensorView* magnitude = nullptr;   ///< [O], for an embedding [D]: DoRA's magnitude
  const io::TensorView* weight = nullptr;      ///< replaces the base weight
  const io::TensorView* bias = nullptr;        ///< replaces the base bias
  const io::TensorView* token_rows = nullptr;  ///< [N, D]: rows that replace those of `tokens`
  const std::vector<std::int64_t>* tokens = nullptr;  ///< of the configuration
  std::int64_t experts = 0;  ///< of a parameter of experts: how many stand side by side in lora_a
  double scale = 0.0;        ///< alpha/r, or alpha/sqrt(r) with rsLoRA, after the patterns
  std::optional<PlacedMethod> method;  ///< instead of lora_a and lora_b

  /// A and B are both there; one alone counts for nothing.
  [[nodiscard]] bool has_lora() const { return lora_a != nullptr; }
};

/// What was found on the way.
struct PlacementSummary {
  std::vector<Finding> findings;  ///< In a fixed order: by kind, then by first subject.
  std::int64_t tensors = 0;       ///< In the file.
  std::int64_t landed = 0;        ///< Tensors that reached a base module in the right shape.
  std::int64_t targets = 0;       ///< Modules that the configuration adapts.
  std::int64_t modules_reached = 0;

  [[nodiscard]] bool failed() const;
};

struct Placement : PlacementSummary {
  std::map<std::string, PlacedModule> modules;  ///< By module path of the base.
};

/// Places the file's tensors on the base's modules. The content of an adapter never makes it throw:
/// every problem is a finding, similar ones are gathered ("14 of 28"). Ids: landing.unused_tensor,
/// duplicate_target, missing_target, shape, rank, half_pair, non_finite, key_dialect, and the notes
/// landing.unused_pattern and landing.base_replaced. Throws an input Error only when a pattern of
/// the configuration exceeds the match limits.
[[nodiscard]] Placement place(const AdapterConfig& config, const io::SafetensorsFile& file,
                              const BaseModules& base);

}  // namespace loraproof::adapter
