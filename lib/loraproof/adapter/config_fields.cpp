// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/config_fields.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/core/suggest.h"

namespace loraproof::adapter {
namespace {

/// Read by parse_adapter_config.
constexpr std::array kReadFields = {"peft_type",
                                    "r",
                                    "lora_alpha",
                                    "use_rslora",
                                    "use_dora",
                                    "lora_bias",
                                    "fan_in_fan_out",
                                    "bias",
                                    "rank_pattern",
                                    "alpha_pattern",
                                    "target_modules",
                                    "exclude_modules",
                                    "layers_to_transform",
                                    "layers_pattern",
                                    "modules_to_save",
                                    "init_lora_weights",
                                    "base_model_name_or_path",
                                    "revision",
                                    "peft_version",
                                    "task_type",
                                    "inference_mode"};

/// Without effect on the outputs of a saved adapter (peft 0.21.2 lora/config.py and older
/// releases): training, loading, or settings of a feature that another field switches on.
constexpr std::array kInertFields = {
    "lora_dropout", "auto_mapping", "runtime_config", "megatron_core",  "qalora_group_size",
    "loftq_config", "eva_config",   "corda_config",   "lora_ga_config", "merge_weights"};

struct Unsupported {
  const char* field;
  const char* why;
  bool merges = false;  // a merge takes it
};
constexpr const char* kConvertHint =
    "save the adapter again with save_pretrained(..., "
    "path_initial_model_for_weight_conversion=...), "
    "which turns it into a plain LoRA adapter";
constexpr std::array kUnsupportedFields = {
    Unsupported{"layer_replication", "it stacks layers of the base into a deeper model"},
    Unsupported{"alora_invocation_tokens", "the adapter acts only from certain tokens on"},
    Unsupported{"arrow_config", "it routes each token between adapters"},
    Unsupported{"use_qalora", "it pools the inputs of the adapter (QALoRA)"},
    Unsupported{"use_bdlora", "its matrices are block-diagonal (BD-LoRA)"},
    Unsupported{"target_parameters", "it adapts parameters of expert layers instead of modules",
                true},
    Unsupported{"trainable_token_indices", "it replaces single rows of the embedding", true},
    Unsupported{"megatron_config", "its layers are sharded by Megatron"},
    Unsupported{"kasa_config", "it truncates the base weights when it is loaded (KaSA)"},
    Unsupported{"monteclora_config", "its weights are sampled"},
    Unsupported{"velora_config", "it stores projections beside the LoRA matrices"},
    Unsupported{"ensure_weight_tying", "it shares the adapter of tied layers"},
    Unsupported{"enable_lora",
                "it adapts parts of a fused matrix (a form of early PEFT releases)"}};

template <typename Table>
bool contains(const Table& table, const std::string& name) {
  return std::find(table.begin(), table.end(), name) != table.end();
}

[[noreturn]] void refuse_unknown(const JsonObject& config, const std::string& field) {
  std::vector<std::string> known(kReadFields.begin(), kReadFields.end());
  known.insert(known.end(), kInertFields.begin(), kInertFields.end());
  const std::string near = nearest_name(field, known);
  throw config.error(
      field,
      fmt::format("the field '{:.80}' is unknown, so it may change what the adapter does", field),
      "a field of a LoRA adapter_config.json of PEFT 0.21 or older, or an empty value",
      brief(*config.find(field)),
      near.empty() ? "remove the field if it only mattered in training"
                   : fmt::format("did you mean '{}'?", near));
}

}  // namespace

bool is_off(const Json& value) {
  if (value.is_null() || value.empty()) return true;
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0.0;
  return value.is_string() && value.get_ref<const std::string&>().empty();
}

void refuse_unsupported_fields(const JsonObject& config, Use use) {
  for (const auto& [field, value] : config.json().items()) {
    const auto row =
        std::find_if(kUnsupportedFields.begin(), kUnsupportedFields.end(),
                     [&name = field](const Unsupported& u) { return name == u.field; });
    if (row != kUnsupportedFields.end()) {
      if (is_off(value) || (use == Use::Merge && row->merges)) continue;
      throw config.error(field,
                         fmt::format("the field '{}' is not supported{}: {}", field,
                                     row->merges ? " here" : " yet", row->why),
                         "null, false or an empty value", brief(value),
                         row->merges ? "loraproof merge takes it: validate the merged model" : "");
    }
    if (contains(kReadFields, field) || contains(kInertFields, field) || is_off(value)) continue;
    refuse_unknown(config, field);
  }
}

std::string checked_init_lora_weights(const JsonObject& config, Use use) {
  const Json* value = config.find("init_lora_weights");
  if (value == nullptr) return "true";
  if (value->is_boolean()) return value->get<bool>() ? "true" : "false";
  if (!value->is_string()) {
    throw config.error("init_lora_weights", "the value has the wrong type", "true, false or a name",
                       brief(*value));
  }
  const auto name = value->get<std::string>();
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* harmless : {"gaussian", "eva", "orthogonal", "mica"}) {
    if (lower == harmless) return lower;
  }
  if (use == Use::Merge && lower == "pissa") return lower;
  for (const char* changing : {"pissa", "corda", "olora", "lora_ga", "loftq"}) {
    if (lower.rfind(changing, 0) != 0) continue;
    throw config.error("init_lora_weights",
                       fmt::format("'{:.80}' changes the base weights when the adapter is loaded, "
                                   "which is not supported yet",
                                   name),
                       "true, false, gaussian, eva, orthogonal or mica", brief(*value),
                       kConvertHint);
  }
  throw config.error("init_lora_weights",
                     fmt::format("'{:.80}' is unknown, so it may change the base weights", name),
                     "true, false, gaussian, eva, orthogonal or mica", brief(*value));
}

}  // namespace loraproof::adapter
