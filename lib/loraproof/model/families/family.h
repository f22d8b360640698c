// SPDX-License-Identifier: Apache-2.0
// A family turns config.json into a DecoderConfig. Adding one: a file beside this one and a row in
// table.cpp (docs/adding.md).
#pragma once

#include <span>
#include <string_view>

#include "loraproof/model/config_reader.h"
#include "loraproof/model/decoder_config.h"

namespace loraproof::model {

struct Family {
  std::string_view model_type;  ///< as in config.json
  DecoderConfig (*read)(ConfigReader& reader);
};

[[nodiscard]] std::span<const Family> families();

/// The fields that all Llama descendants share: sizes, norm, rope, tying, activation.
/// `default_kv_heads` 0: as many as heads.
[[nodiscard]] DecoderConfig read_llama_like(ConfigReader& reader,
                                            std::int64_t default_max_positions);

DecoderConfig read_llama(ConfigReader& reader);
DecoderConfig read_mistral(ConfigReader& reader);
DecoderConfig read_qwen2(ConfigReader& reader);

}  // namespace loraproof::model
