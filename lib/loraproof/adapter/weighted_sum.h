// SPDX-License-Identifier: Apache-2.0
// Several adapters on one base at once: their changes, each with its weight, as one set of patches.
#pragma once

#include <span>
#include <string>

#include "loraproof/adapter/patch.h"

namespace loraproof::adapter {

struct WeightedPatches {
  std::string name;  ///< for messages
  const PatchSet* patches = nullptr;
  double weight = 1;
};

/// Low-rank terms stand side by side in the inner dimension, their scales in B. A single adapter
/// keeps its factors. What is no sum is taken as it is from an adapter of weight 1 and is an input
/// Error, naming module and adapter, otherwise: DoRA together with another change of the module,
/// and two replacements of one tensor that differ.
[[nodiscard]] PatchSet weighted_sum(std::span<const WeightedPatches> terms);

}  // namespace loraproof::adapter
