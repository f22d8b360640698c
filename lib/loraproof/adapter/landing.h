// SPDX-License-Identifier: Apache-2.0
// An adapter on a base, ready to be run: what placement.h found, as tensors.
#pragma once

#include <vector>

#include "loraproof/adapter/patch.h"
#include "loraproof/adapter/placement.h"

namespace loraproof::adapter {

struct Landing : PlacementSummary {
  std::vector<Finding> zero_effect;  ///< See zero_effect.h.
  PatchSet patches;                  ///< What landed; only to be run with when nothing failed.
};

/// The tensors of a placement. They own their memory: the file may be closed.
[[nodiscard]] PatchSet patches_of(const Placement& placement);

/// place(), find_zero_effect() and patches_of() in one go.
[[nodiscard]] Landing land(const AdapterConfig& config, const io::SafetensorsFile& file,
                           const BaseModules& base);

}  // namespace loraproof::adapter
