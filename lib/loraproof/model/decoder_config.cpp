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

}  // namespace loraproof::model
