// SPDX-License-Identifier: Apache-2.0
// What config.json says about a decoder-only model, as dimensions and traits. A value that the
// engine does not implement is refused by name; nothing is guessed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/nn/rope.h"

namespace loraproof::model {

struct DecoderConfig {
  std::string model_type;  ///< "llama", "mistral", "qwen2"
  std::string file;        ///< the config.json it came from, for messages
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t num_kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t ffn_size = 0;
  std::int64_t vocab_size = 0;
  double rms_norm_eps = 1e-6;
  nn::RopeConfig rope;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  /// Per layer: the sliding window in tokens, or nothing for full attention.
  std::vector<std::optional<std::int64_t>> window;
  /// generation_config.json's eos_token_id (a number or a list), else config.json's; may be empty.
  std::vector<std::int32_t> eos_ids;
};

/// Reads `folder`/config.json (spelled as transformers 4 or 5 writes it) and
/// generation_config.json. Throws an input Error for a missing, malformed or unsupported value,
/// naming the key.
[[nodiscard]] DecoderConfig read_decoder_config(const std::filesystem::path& folder);

/// What of the configuration changes a forward pass, as name -> value: the same for transformers 4
/// and 5 spellings, without names, versions and generation settings. Part of the format of
/// reference.json.
[[nodiscard]] std::map<std::string, std::string> meaning_fields(const DecoderConfig& config);

/// model_type values that the table of families holds, for messages and docs.
[[nodiscard]] std::vector<std::string> supported_model_types();

}  // namespace loraproof::model
