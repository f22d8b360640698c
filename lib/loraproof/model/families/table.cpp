// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "loraproof/model/families/family.h"

namespace loraproof::model {

std::span<const Family> families() {
  static constexpr std::array kFamilies{
      Family{"llama", read_llama},      // Llama 2, 3, 3.1, 3.2; SmolLM2; TinyLlama; Yi
      Family{"mistral", read_mistral},  // Mistral 7B v0.1 (sliding window) and later
      Family{"qwen2", read_qwen2},      // Qwen2, Qwen2.5
  };
  return kFamilies;
}

}  // namespace loraproof::model
