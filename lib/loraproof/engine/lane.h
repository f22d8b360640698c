// SPDX-License-Identifier: Apache-2.0
// A lane is one variant of the model in a sweep: which weights stand in for the base's, and which
// adapter is applied to them.
#pragma once

#include <ATen/core/Tensor.h>
#include <string>

#include "loraproof/adapter/patch.h"
#include "loraproof/engine/weight_variant.h"

namespace loraproof::engine {

struct Lane {
  std::string name;           ///< for reports: the adapter's name, or "base"
  adapter::PatchSet patches;  ///< on the compute device, replacements in the compute type
  const WeightVariant* variant = nullptr;  ///< null: the base as it is stored
};

/// Moves a landed adapter to where and how the sweep computes. LoRA factors stay f32.
[[nodiscard]] Lane make_lane(std::string name, const adapter::PatchSet& patches,
                             at::ScalarType compute, at::Device device);

}  // namespace loraproof::engine
