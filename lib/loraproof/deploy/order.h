// SPDX-License-Identifier: Apache-2.0
// In which order a deployment quantises and merges. No libtorch.
#pragma once

#include <array>
#include <string_view>

#include "loraproof/core/choice.h"

namespace loraproof::deploy {

/// W the base's weight, D the adapter's change, Q the scheme.
enum class Order {
  QuantisedBase,        ///< A: Q(W), the adapter beside it in 16 bit
  MergedThenQuantised,  ///< B: Q(W + D)
  Merged,               ///< C: W + D rounded to the weight's type; no scheme
  MergedIntoQuantised,  ///< D: Q(Q(W) + D)
  MergedOntoTrained     ///< E: Q(W) + D in 16 bit, Q what the adapter was trained on
};

inline constexpr std::array kOrderNames{
    Choice<Order>{Order::QuantisedBase, "A"}, Choice<Order>{Order::MergedThenQuantised, "B"},
    Choice<Order>{Order::Merged, "C"}, Choice<Order>{Order::MergedIntoQuantised, "D"},
    Choice<Order>{Order::MergedOntoTrained, "E"}};

}  // namespace loraproof::deploy
