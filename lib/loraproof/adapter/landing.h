// SPDX-License-Identifier: Apache-2.0
// Where each tensor of an adapter file goes. Decided by what PEFT 0.21.2 would load: a tensor that
// PEFT would pass over in silence is a finding here, and so is a target that gets no tensors.
#pragma once

#include <cstdint>
#include <vector>

#include "loraproof/adapter/config.h"
#include "loraproof/adapter/finding.h"
#include "loraproof/adapter/patch.h"
#include "loraproof/io/safetensors.h"

namespace loraproof::adapter {

struct Landing {
  PatchSet patches;               ///< What landed; only to be run with when nothing failed.
  std::vector<Finding> findings;  ///< In a fixed order: by kind, then by first subject.
  std::int64_t tensors = 0;       ///< In the file.
  std::int64_t landed = 0;        ///< Tensors that reached a base module in the right shape.
  std::int64_t targets = 0;       ///< Modules that the configuration adapts.

  [[nodiscard]] bool failed() const;
};

/// Lands the file's tensors on the base's modules. The content of an adapter never makes it throw:
/// every problem is a finding, similar ones are gathered ("14 of 28"). Ids: landing.unused_tensor,
/// duplicate_target, missing_target, shape, rank, half_pair, non_finite, key_dialect, and the notes
/// landing.unused_pattern and landing.base_replaced. Throws an input Error only when a pattern of
/// the configuration exceeds the match limits. Patches own their memory; `file` may be closed.
[[nodiscard]] Landing land(const AdapterConfig& config, const io::SafetensorsFile& file,
                           const BaseModules& base);

}  // namespace loraproof::adapter
