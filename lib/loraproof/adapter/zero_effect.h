// SPDX-License-Identifier: Apache-2.0
// Does the adapter change anything at all? Needs neither the base's weights nor libtorch.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "loraproof/adapter/finding.h"
#include "loraproof/adapter/placement.h"
#include "loraproof/io/safetensors.h"

namespace loraproof::adapter {

/// ‖s·B·A‖_F through the r×r Gram matrices of B and A, in f64; 0 without LoRA. For DoRA this is the
/// part before the magnitude.
[[nodiscard]] double delta_norm(const PlacedModule& module);

/// delta_norm() of every module with LoRA, by its path. `file`: whose pages may go once they were
/// read; null: they stay.
using DeltaNorms = std::map<std::string, double>;
[[nodiscard]] DeltaNorms delta_norms(const std::map<std::string, PlacedModule>& modules,
                                     const io::SafetensorsFile* file = nullptr);

/// effect.zero_module for each module in which the adapter changes nothing (zero A, B or scale), or
/// effect.zero_adapter when it changes nothing anywhere.
[[nodiscard]] std::vector<Finding> find_zero_effect(
    const std::map<std::string, PlacedModule>& modules, const DeltaNorms& norms);

}  // namespace loraproof::adapter
