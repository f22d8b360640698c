// SPDX-License-Identifier: Apache-2.0
// transformers models/mistral/configuration_mistral.py: Llama with a window on every layer.
#include "loraproof/core/json.h"
#include "loraproof/model/families/family.h"

namespace loraproof::model {

DecoderConfig read_mistral(ConfigReader& reader) {
  DecoderConfig config = read_llama_like(reader, 4096 * 32);
  if (!reader.object().has("num_key_value_heads")) config.num_kv_heads = 8;
  reader.require_value("attention_bias", false, "Mistral has no attention biases");
  reader.require_value("layer_types", nullptr,
                       "alternating attention is not implemented for mistral");
  const bool is_null =
      reader.object().json().contains("sliding_window") && !reader.object().has("sliding_window");
  // Absent means transformers' default of 4096; an explicit null means full attention.
  const std::int64_t window = reader.size_or("sliding_window", 4096);
  if (!is_null) config.window.assign(config.window.size(), window);
  return config;
}

}  // namespace loraproof::model
