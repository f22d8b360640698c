// SPDX-License-Identifier: Apache-2.0
// What landing has to know of the base; built by model/ from config.json and the tensor headers.
// Free of libtorch, so that the configuration and key rules build and fuzz without it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace loraproof::adapter {

struct BaseModule {
  /// Experts: a parameter of a module of experts, stacked in 3 dimensions in memory. Its path ends
  /// with the parameter's name; it is no module, and only target_parameters reaches it.
  enum class Kind { Linear, Embedding, Norm, Conv, Experts };
  Kind kind = Kind::Linear;
  std::int64_t out = 0;  ///< rows of the weight: O, or V for an embedding, or the norm's size
  std::int64_t in = 0;   ///< columns: I, or D; 0 for a norm; of a convolution without the kernel
  std::vector<std::int64_t> kernel = {};  ///< Conv: the dimensions after the first two
  std::int64_t experts = 0;               ///< Experts: how many
  bool transposed = false;                ///< [in, out] in memory, of each expert or the layer
  bool has_bias = false;
  bool is_output_head = false;  ///< excluded from target_modules="all-linear"
  /// Path of the module whose weight this one shares ("model.embed_tokens" for a tied head), or "".
  /// PEFT loads whole weights of an embedding in place, so they reach the tied head as well.
  std::string tied_to;
};
/// Module path (no ".weight") to its description. A tied head is listed (path "lm_head").
using BaseModules = std::map<std::string, BaseModule>;

}  // namespace loraproof::adapter
