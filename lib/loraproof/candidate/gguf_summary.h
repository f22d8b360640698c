// SPDX-License-Identifier: Apache-2.0
// What a GGUF file says of its model, under the names of Hugging Face's config.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "loraproof/io/gguf.h"

namespace loraproof::candidate {

/// Values that the file does not hold are empty; nothing is guessed except where said.
struct GgufSummary {
  std::string architecture;  ///< "llama", "qwen2", ...
  std::string name;          ///< general.name
  std::int64_t num_hidden_layers = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;  ///< As num_attention_heads where the file is silent.
  std::int64_t head_dim = 0;             ///< hidden_size / num_attention_heads likewise.
  std::int64_t vocab_size = 0;           ///< Rows of the embedding.
  std::optional<std::int64_t> tokens;    ///< Length of tokenizer.ggml.tokens.
  bool tie_word_embeddings = false;      ///< No output.weight.
  std::optional<std::int64_t> intermediate_size;
  std::optional<std::int64_t> max_position_embeddings;
  std::optional<std::int64_t> sliding_window;
  std::optional<std::int64_t> rope_dimension_count;
  std::optional<double> rope_theta;
  std::optional<std::string> rope_scaling_type;
  std::optional<double> rope_scaling_factor;
  std::optional<std::int64_t> rope_original_context;
  bool has_rope_freqs = false;  ///< Llama 3 scaling lies in the tensor rope_freqs.weight.
  std::optional<double> rms_norm_eps;
  std::optional<double> attn_logit_softcapping;
  std::optional<double> final_logit_softcapping;
  std::optional<std::int64_t> file_type;  ///< general.file_type: the mix, such as 15 for Q4_K_M.
};

/// Throws an input Error for a value that is missing, of the wrong type or impossible.
[[nodiscard]] GgufSummary summarise(const io::GgufFile& gguf);

}  // namespace loraproof::candidate
