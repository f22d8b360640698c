// SPDX-License-Identifier: Apache-2.0
#include "loraproof/model/decoder_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>

#include "loraproof/core/json.h"
#include "loraproof/model/families/family.h"

namespace loraproof::model {
namespace {

// eos_token_id is a number, a list of numbers, or absent.
std::vector<std::int32_t> read_eos(const JsonObject& object, std::int64_t vocab_size) {
  const Json* value = object.find("eos_token_id");
  if (value == nullptr) return {};
  std::vector<std::int32_t> ids;
  const Json list = value->is_array() ? *value : Json::array({*value});
  for (const Json& id : list) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
        id.get<std::int64_t>() >= vocab_size) {
      throw object.error("eos_token_id", "not a token id of this model",
                         fmt::format("0 to {}", vocab_size - 1), brief(id));
    }
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

}  // namespace

std::vector<std::string> supported_model_types() {
  std::vector<std::string> names;
  for (const Family& family : families()) names.emplace_back(family.model_type);
  return names;
}

DecoderConfig read_decoder_config(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  const Json json = read_json_file(file);
  ConfigReader reader(JsonObject(json, file.string()));
  if (reader.value("quantization_config") != nullptr) {
    throw reader.object().error("quantization_config",
                                "quantised checkpoints are not supported yet", "", "",
                                "use the 16-bit checkpoint it was made from");
  }
  const std::string type = reader.object().string("model_type");
  for (const Family& family : families()) {
    if (family.model_type != type) continue;
    DecoderConfig config = family.read(reader);
    reader.refuse_unknown_keys();
    config.model_type = type;
    config.file = file.string();
    config.eos_ids = read_eos(reader.object(), config.vocab_size);
    const std::filesystem::path generation = folder / "generation_config.json";
    if (std::filesystem::exists(generation)) {
      const Json generation_json = read_json_file(generation);
      const JsonObject object(generation_json, generation.string());
      if (object.has("eos_token_id")) config.eos_ids = read_eos(object, config.vocab_size);
    }
    return config;
  }
  throw reader.object().error("model_type", "this architecture is not supported yet",
                              fmt::format("{}", fmt::join(supported_model_types(), ", ")),
                              "'" + type + "'");
}

std::map<std::string, std::string> meaning_fields(const DecoderConfig& config) {
  constexpr const char* kRopeNames[] = {"default", "linear", "dynamic", "yarn", "llama3"};
  const nn::RopeConfig& rope = config.rope;
  const auto optional_text = [](const auto& value) {
    return value ? fmt::format("{}", *value) : "none";
  };
  std::map<std::string, std::string> fields;
  const auto add = [&](const char* name, const auto& value) {
    fields[name] = fmt::format("{}", value);
  };
  add("model_type", config.model_type);
  add("hidden_size", config.hidden_size);
  add("num_hidden_layers", config.num_layers);
  add("num_attention_heads", config.num_heads);
  add("num_key_value_heads", config.num_kv_heads);
  add("head_dim", config.head_dim);
  add("intermediate_size", config.ffn_size);
  add("vocab_size", config.vocab_size);
  add("rms_norm_eps", config.rms_norm_eps);
  add("tie_word_embeddings", config.tie_word_embeddings);
  add("rope_type", kRopeNames[static_cast<int>(rope.kind)]);
  add("rope_theta", rope.theta);
  if (rope.kind != nn::RopeConfig::Kind::Default) add("rope_factor", rope.factor);
  if (rope.kind == nn::RopeConfig::Kind::Dynamic)
    add("max_position_embeddings", rope.max_positions);
  if (rope.kind == nn::RopeConfig::Kind::Llama3 || rope.kind == nn::RopeConfig::Kind::Yarn) {
    add("rope_original_max_position_embeddings", rope.original_max_positions);
  }
  if (rope.kind == nn::RopeConfig::Kind::Llama3) {
    add("rope_low_freq_factor", rope.low_freq_factor);
    add("rope_high_freq_factor", rope.high_freq_factor);
  }
  if (rope.kind == nn::RopeConfig::Kind::Yarn) {
    add("rope_attention_factor", optional_text(rope.attention_factor));
    add("rope_mscale", optional_text(rope.mscale));
    add("rope_mscale_all_dim", optional_text(rope.mscale_all_dim));
    add("rope_beta_fast", rope.beta_fast);
    add("rope_beta_slow", rope.beta_slow);
    add("rope_truncate", rope.truncate);
  }
  std::vector<std::string> windows;
  for (const auto& window : config.window) windows.push_back(optional_text(window));
  add("sliding_window", fmt::format("{}", fmt::join(windows, ",")));
  return fields;
}

}  // namespace loraproof::model
