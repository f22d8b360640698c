// SPDX-License-Identifier: Apache-2.0
// What an adapter is: its tensors and the configuration fields that change its outputs. Lineage
// (base_model_name_or_path, peft_version, dropout...) is not part of it. The field names and their
// text are part of the format of reference.json.
#pragma once

#include <map>
#include <string>

#include "loraproof/adapter/config.h"
#include "loraproof/io/digest.h"
#include "loraproof/io/safetensors.h"

namespace loraproof::adapter {

struct AdapterIdentity {
  std::string digest;                         ///< Of everything below.
  io::DigestByName tensors;                   ///< By key as in the file.
  std::map<std::string, std::string> fields;  ///< Canonical JSON by field name.
};

/// The fields with a meaning, each as one line of JSON. Lists whose order PEFT ignores are sorted;
/// the patterns keep file order, because the first match wins.
[[nodiscard]] std::map<std::string, std::string> meaning_fields(const AdapterConfig& config);

/// A tensor is digested by its values: one of F32 or F16 whose values are all exact in BF16, else
/// in F16, as that type; so an adapter that was loaded and saved again in f32 is still the same
/// one. Reads every byte of the file.
[[nodiscard]] AdapterIdentity identify(const AdapterConfig& config,
                                       const io::SafetensorsFile& file);

}  // namespace loraproof::adapter
