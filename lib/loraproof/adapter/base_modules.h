// SPDX-License-Identifier: Apache-2.0
// What landing has to know of the base; built by model/ from config.json and the tensor headers.
// Free of libtorch, so that the configuration and key rules build and fuzz without it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace loraproof::adapter {

struct BaseModule {
  enum class Kind { Linear, Embedding, Norm };
  Kind kind = Kind::Linear;
  std::int64_t out = 0;  ///< rows of the weight: O, or V for an embedding, or the norm's size
  std::int64_t in = 0;   ///< columns: I, or D; 0 for a norm
  bool has_bias = false;
  bool is_output_head = false;  ///< excluded from target_modules="all-linear"
  /// Path of the module whose weight this one shares ("model.embed_tokens" for a tied head), or "".
  /// PEFT loads whole weights of an embedding in place, so they reach the tied head as well.
  std::string tied_to;
};
/// Module path (no ".weight") to its description. A tied head is listed (path "lm_head").
using BaseModules = std::map<std::string, BaseModule>;

}  // namespace loraproof::adapter
