// SPDX-License-Identifier: Apache-2.0
// Names of tensors in GGUF files and of the same weights in Hugging Face's. Source:
// gguf/tensor_mapping.py of llama.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace loraproof::candidate {

struct GgufNaming {
  std::int64_t layers = 0;
  bool four_norms = false;  ///< a layer has two more, as in Gemma 2 and 3
};

/// "blk.12.attn_q.weight" -> "model.layers.12.self_attn.q_proj.weight"; empty for an unknown name.
[[nodiscard]] std::string hugging_face_name(const GgufNaming& naming, std::string_view name);

/// "model.layers.12.self_attn.q_proj" -> "blk.12.attn_q", "lm_head" -> "output"; empty for an
/// unknown one.
[[nodiscard]] std::string gguf_name(std::string_view module);

}  // namespace loraproof::candidate
