// SPDX-License-Identifier: Apache-2.0
// What a single adapter tensor must look like for its place. Internal to adapter/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loraproof/adapter/base_modules.h"
#include "loraproof/adapter/keys.h"
#include "loraproof/io/tensor_view.h"

namespace loraproof::adapter {

struct TensorProblem {
  std::string id;    ///< landing.shape, landing.rank or landing.non_finite
  std::string kind;  ///< Groups problems of the same nature.
  std::string message;
  std::string hint;
};

/// The shape that `part` has on this module: [R, I], [O, R], [O], ...
[[nodiscard]] std::vector<std::int64_t> expected_shape(Part part, const BaseModule& module,
                                                       std::int64_t rank);

/// Nothing when dtype and shape fit. `rank_source` says where the rank comes from ("r").
[[nodiscard]] std::optional<TensorProblem> shape_problem(const io::TensorView& view, Part part,
                                                         const BaseModule& module,
                                                         std::int64_t rank,
                                                         const std::string& rank_source);

/// The same for a tensor of another method, and its values.
[[nodiscard]] std::optional<TensorProblem> method_problem(
    const io::TensorView& view, const std::vector<std::int64_t>& expected);

/// NaN or infinite values. `view`: of a type that shape_problem() accepts.
[[nodiscard]] std::optional<TensorProblem> finite_problem(const io::TensorView& view);

/// Same type and bytes.
[[nodiscard]] bool same_values(const io::TensorView& a, const io::TensorView& b);

}  // namespace loraproof::adapter
