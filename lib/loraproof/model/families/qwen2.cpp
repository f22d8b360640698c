// SPDX-License-Identifier: Apache-2.0
// transformers models/qwen2/configuration_qwen2.py: biases on q, k, v only; a window, when switched
// on, from layer max_window_layers upwards or as layer_types says.
#include "loraproof/core/json.h"
#include "loraproof/model/families/family.h"

namespace loraproof::model {

DecoderConfig read_qwen2(ConfigReader& reader) {
  DecoderConfig config = read_llama_like(reader, 32768);
  config.qkv_bias = true;
  reader.flag_or("attention_bias",
                 true);  // transformers' Qwen2 does not read it: q, k, v have biases
  const bool use_window = reader.flag_or("use_sliding_window", false);
  const std::int64_t window = reader.size_or("sliding_window", 4096);
  const Json* first = reader.value("max_window_layers");
  const std::int64_t first_windowed =
      first == nullptr ? 28 : reader.object().integer("max_window_layers");
  const Json* layer_types = reader.value("layer_types");
  if (layer_types != nullptr &&
      (!layer_types->is_array() || layer_types->size() != config.window.size())) {
    throw reader.object().error("layer_types", "must name one attention type per layer",
                                std::to_string(config.num_layers) + " entries",
                                brief(*layer_types));
  }
  for (std::size_t i = 0; i < config.window.size(); ++i) {
    bool sliding = use_window && static_cast<std::int64_t>(i) >= first_windowed;
    if (layer_types != nullptr) {
      const Json& type = (*layer_types)[i];
      if (type != "full_attention" && type != "sliding_attention") {
        throw reader.object().error("layer_types", "this attention type is not supported",
                                    "full_attention or sliding_attention", brief(type));
      }
      sliding = type == "sliding_attention";
      if (sliding && !use_window) {
        throw reader.object().error("layer_types",
                                    "names sliding layers while use_sliding_window is off");
      }
    }
    if (sliding) config.window[i] = window;
  }
  return config;
}

}  // namespace loraproof::model
