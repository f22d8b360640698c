// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the nearest known name to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace loraproof {

/// The candidate with the smallest edit distance to `name`, or "" when none is near (distance over
/// a third of the name's length, at least 2).
[[nodiscard]] std::string nearest_name(std::string_view name,
                                       std::span<const std::string> candidates);

}  // namespace loraproof
