// SPDX-License-Identifier: Apache-2.0
// The quantisation schemes by name: whose arithmetic, what a name means, how to simulate it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "loraproof/quant/inputs.h"
#include "loraproof/quant/quantiser.h"

namespace loraproof::quant {

/// Which modules a library leaves in 16 bit when nobody says otherwise.
enum class Skips {
  HeadAndEmbeddings,    ///< it replaces linear layers: not embeddings, output head, routers of
                        ///< experts
  RoutersAndPositions,  ///< llama.cpp: all matrices but routers of experts and position embeddings
  Nothing               ///< every matrix
};

struct Scheme {
  std::string_view name;     ///< as given on the command line and in reports
  std::string_view library;  ///< whose code is followed
  std::string_view meaning;  ///< one line
  Skips skips = Skips::HeadAndEmbeddings;
  Activations activations = Activations::None;
  /// Input Error where the library refuses a matrix of this shape.
  std::unique_ptr<Quantiser> (*make)(const Shape& shape) = nullptr;
  /// True where the library leaves a matrix of this shape as it is; null: nowhere.
  bool (*passes_over)(const Shape& shape) = nullptr;
};

/// All of them, in the order of documentation.
[[nodiscard]] std::span<const Scheme> schemes();

/// Usage Error with the nearest name for an unknown one.
[[nodiscard]] const Scheme& find_scheme(std::string_view name);

/// True where the library of this scheme leaves the weight of `module`
/// ("model.layers.0.mlp.up_proj", "lm_head") as it is by default. Norms and other vectors are never
/// quantised; they are not asked about.
[[nodiscard]] bool skips_by_default(const Scheme& scheme, std::string_view module);

}  // namespace loraproof::quant
