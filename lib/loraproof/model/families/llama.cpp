// SPDX-License-Identifier: Apache-2.0
// transformers models/llama/configuration_llama.py, modeling_llama.py.
#include <fmt/format.h>

#include "loraproof/core/json.h"
#include "loraproof/model/families/family.h"

namespace loraproof::model {
namespace {

using nn::RopeConfig;

// The rope object of transformers 5 (`rope_parameters`) or 4 (`rope_scaling`, may be null), with
// `rope_theta` inside it or beside it.
void read_rope(ConfigReader& reader, RopeConfig& rope) {
  rope.theta = reader.number_or("rope_theta", 10000.0);
  const Json* v5 = reader.value("rope_parameters");
  const Json* v4 = reader.value("rope_scaling");
  // As transformers convert_rope_params_to_dict: a non-empty rope_scaling wins over
  // rope_parameters.
  const bool use_v4 = v4 != nullptr && !v4->empty();
  if (v5 == nullptr && !use_v4) return;
  ConfigReader parameters(JsonObject(use_v4 ? *v4 : *v5, reader.object().file(),
                                     use_v4 ? "/rope_scaling" : "/rope_parameters"));
  const std::string legacy = parameters.text_or("type", "default");
  const std::string kind = parameters.text_or("rope_type", legacy);
  rope.theta = parameters.number_or("rope_theta", rope.theta);
  parameters.require_value("partial_rotary_factor", 1.0,
                           "only full rotary embeddings are implemented");
  const std::int64_t original =
      parameters.size_or("original_max_position_embeddings", rope.max_positions);
  if (kind == "default") {
    rope.kind = RopeConfig::Kind::Default;
    parameters.number_or("factor", 1.0);  // no meaning without scaling
  } else if (kind == "linear" || kind == "dynamic") {
    rope.kind = kind == "linear" ? RopeConfig::Kind::Linear : RopeConfig::Kind::Dynamic;
    rope.factor = parameters.object().number("factor");
    parameters.number_or("factor", 1.0);
  } else if (kind == "llama3") {
    rope.kind = RopeConfig::Kind::Llama3;
    rope.factor = parameters.object().number("factor");
    parameters.number_or("factor", 1.0);
    rope.low_freq_factor = parameters.number_or("low_freq_factor", 1.0);
    rope.high_freq_factor = parameters.number_or("high_freq_factor", 4.0);
    rope.original_max_positions = original;
  } else if (kind == "yarn") {
    rope.kind = RopeConfig::Kind::Yarn;
    rope.original_max_positions = original;
    rope.factor = parameters.number_or(
        "factor", static_cast<double>(rope.max_positions) / static_cast<double>(original));
    const auto optional_number = [&](std::string_view name) -> std::optional<double> {
      if (!parameters.object().has(name)) {
        parameters.number_or(name, 0);
        return std::nullopt;
      }
      return parameters.number_or(name, 0);
    };
    rope.attention_factor = optional_number("attention_factor");
    rope.mscale = optional_number("mscale");
    rope.mscale_all_dim = optional_number("mscale_all_dim");
    rope.beta_fast = parameters.number_or("beta_fast", 32);
    rope.beta_slow = parameters.number_or("beta_slow", 1);
    if (rope.beta_fast == 0) rope.beta_fast = 32;  // transformers: `get(...) or 32`
    if (rope.beta_slow == 0) rope.beta_slow = 1;
    rope.truncate = parameters.flag_or("truncate", true);
  } else {
    throw parameters.object().error("rope_type", "this rope type is not supported",
                                    "default, linear, dynamic, llama3 or yarn", "'" + kind + "'");
  }
  if (!(rope.factor > 0) || !(rope.theta > 0)) {
    throw parameters.object().error("factor", "rope factor and theta must be positive", "",
                                    fmt::format("factor {}, theta {}", rope.factor, rope.theta));
  }
  parameters.refuse_unknown_keys();
}

}  // namespace

DecoderConfig read_llama_like(ConfigReader& reader, std::int64_t default_max_positions) {
  DecoderConfig config;
  config.hidden_size = reader.size("hidden_size");
  config.num_layers = reader.size("num_hidden_layers");
  config.num_heads = reader.size("num_attention_heads");
  config.num_kv_heads = reader.size_or("num_key_value_heads", config.num_heads);
  if (config.num_heads % config.num_kv_heads != 0) {
    throw reader.object().error("num_key_value_heads", "does not divide num_attention_heads",
                                fmt::format("a divisor of {}", config.num_heads),
                                std::to_string(config.num_kv_heads));
  }
  if (!reader.object().has("head_dim") && config.hidden_size % config.num_heads != 0) {
    throw reader.object().error("hidden_size", "is not a multiple of num_attention_heads",
                                fmt::format("a multiple of {}", config.num_heads),
                                std::to_string(config.hidden_size));
  }
  config.head_dim = reader.size_or("head_dim", config.hidden_size / config.num_heads);
  if (config.head_dim % 2 != 0) {
    throw reader.object().error("head_dim", "must be even for rotary embeddings", "an even number",
                                std::to_string(config.head_dim));
  }
  config.ffn_size = reader.size("intermediate_size");
  config.vocab_size = reader.size("vocab_size");
  config.rms_norm_eps = reader.number_or("rms_norm_eps", 1e-6);
  config.tie_word_embeddings = reader.flag_or("tie_word_embeddings", false);
  reader.require_value("hidden_act", "silu", "only the gated SiLU MLP is implemented");
  reader.require_value("partial_rotary_factor", 1.0, "only full rotary embeddings are implemented");
  reader.require_value("is_encoder_decoder", false, "only decoders are implemented");
  reader.require_value("add_cross_attention", false, "only decoders are implemented");
  reader.require_value("rope_interleaved", false, "only the rotate-half layout is implemented");

  config.rope.head_dim = config.head_dim;
  config.rope.max_positions = reader.size_or("max_position_embeddings", default_max_positions);
  read_rope(reader, config.rope);
  config.window.assign(static_cast<std::size_t>(config.num_layers), std::nullopt);
  return config;
}

DecoderConfig read_llama(ConfigReader& reader) {
  DecoderConfig config = read_llama_like(reader, 2048);
  config.qkv_bias = config.o_bias = reader.flag_or("attention_bias", false);
  config.mlp_bias = reader.flag_or("mlp_bias", false);
  // transformers' LlamaAttention has no sliding window: a value here means another architecture.
  reader.require_value("sliding_window", nullptr,
                       "Llama has no sliding window; is model_type right?");
  return config;
}

}  // namespace loraproof::model
