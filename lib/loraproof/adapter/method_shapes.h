// SPDX-License-Identifier: Apache-2.0
// Which tensors a method has for a base module, and of which shapes: what PEFT 0.21.2 makes when it
// wraps the layer (update_layer in tuners/*/layer.py). Internal to adapter/.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "loraproof/adapter/base_modules.h"
#include "loraproof/adapter/config.h"
#include "loraproof/adapter/method_keys.h"
#include "loraproof/io/tensor_view.h"

namespace loraproof::adapter {

struct ExpectedTensors {
  std::vector<std::pair<MethodPart, std::vector<std::int64_t>>> shapes;
  std::string problem;  ///< why this module can't be adapted, or ""; then there are no shapes
};

/// `rank`: after the patterns. `feedforward`: see TargetMatcher.
[[nodiscard]] ExpectedTensors expected_tensors(const AdapterConfig& config,
                                               const BaseModule& module, std::int64_t rank,
                                               bool feedforward);

/// Equal, but that boft_R may have one factor of any number: PEFT makes no more where it can't
/// compile its CUDA extension, and says so in a warning only (boft/layer.py update_layer).
[[nodiscard]] bool fits(MethodPart part, const std::vector<std::int64_t>& expected,
                        const std::vector<std::int64_t>& found);

/// Two factors of `dimension`, the smaller first (lokr/layer.py factorization). `factor` -1: near
/// the square root; above 0: itself where it divides, else the largest divisor up to it.
[[nodiscard]] std::pair<std::int64_t, std::int64_t> two_factors(std::int64_t dimension,
                                                                std::int64_t factor);

/// The divisor of `features` nearest to `wanted`, the smaller of two as near
/// (oft/layer.py adjust_oft_parameters).
[[nodiscard]] std::int64_t nearest_divisor(std::int64_t features, std::int64_t wanted);

/// Why the adapter does nothing in a module that has these tensors, or "": as before training.
/// `parts`: all that expected_tensors() names, and of VeRA the shared ones.
[[nodiscard]] std::string idle_cause(Method method,
                                     const std::map<MethodPart, const io::TensorView*>& parts,
                                     double scale);

}  // namespace loraproof::adapter
