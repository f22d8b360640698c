// SPDX-License-Identifier: Apache-2.0
// adapter_config.json of PEFT adapters (0.21 and older), read strictly: a field that changes
// what the adapter does is either understood or refused by name. Says nothing about the tensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loraproof/adapter/method.h"
#include "loraproof/core/json_fwd.h"

namespace loraproof::adapter {

/// target_modules or exclude_modules.
struct ModuleSelector {
  enum class Kind { Names, Regex, AllLinear };
  Kind kind = Kind::Names;
  std::vector<std::string> names;  ///< Names: equal to a module path, or its last parts.
  std::string pattern;             ///< Regex: must match a whole module path.
};

enum class BiasMode { None, All, LoraOnly };  ///< LoraOnly: of the adapted modules, of any method

/// What the caller can do with an adapter: a merge takes more kinds than the engine's forward.
enum class Use { Forward, Merge };

/// Rows of an embedding that were trained alone.
struct TrainedTokens {
  std::string module;                ///< "" : the input embedding; else the end of a module path
  std::vector<std::int64_t> tokens;  ///< in the order of the rows in the file
};

struct AdapterConfig {
  std::string file;  ///< The path, for messages.

  Method method = Method::Lora;
  MethodSettings settings;  ///< of the other methods

  std::int64_t r = 8;       ///< LoRA, LoHa, LoKr, VeRA
  double lora_alpha = 8.0;  ///< `alpha` of LoHa and LoKr; r where a method has none
  bool use_rslora = false;
  bool use_dora = false;
  bool lora_bias = false;
  /// PEFT overrules it by the type of the layer it finds, so it means nothing for Linear layers.
  bool fan_in_fan_out = false;
  BiasMode bias = BiasMode::None;
  std::vector<std::pair<std::string, std::int64_t>>
      rank_pattern;                                           ///< In file order: first hit wins.
  std::vector<std::pair<std::string, double>> alpha_pattern;  ///< In file order: first hit wins.

  ModuleSelector target_modules;
  std::optional<ModuleSelector> exclude_modules;
  std::optional<std::vector<std::int64_t>> layers_to_transform;  ///< Nothing: all layers.
  std::vector<std::string> layers_pattern;                       ///< Empty: any.
  std::optional<ModuleSelector> feedforward_modules;             ///< IA3: whose inputs are scaled
  std::vector<std::string> modules_to_save;
  std::vector<std::string> target_parameters;  ///< ends of parameter paths: experts.gate_up_proj
  std::vector<TrainedTokens> trained_tokens;   ///< trainable_token_indices
  bool pissa = false;  ///< W is what is left of the base without its first r singular triplets

  // Lineage: recorded, never acted upon.
  std::string init_lora_weights = "true";
  std::string base_model_name_or_path;
  std::string revision;
  std::string peft_version;
  std::string task_type;
  bool inference_mode = false;
};

/// Checks and reads the fields. Throws an input Error naming the field: wrong types, r < 1,
/// patterns that Python's re refuses, a peft_type that `use` does not take, features that are not
/// supported by it, and unknown fields whose value is not empty. Needs no file system.
[[nodiscard]] AdapterConfig parse_adapter_config(const Json& document, std::string_view file,
                                                 Use use = Use::Forward);

/// Reads FOLDER/adapter_config.json. Throws as above, and when the folder holds no readable
/// adapter.
[[nodiscard]] AdapterConfig read_adapter_config(const std::filesystem::path& folder,
                                                Use use = Use::Forward);

/// FOLDER/adapter_model.safetensors. Pickle weights (adapter_model.bin, .pt) are refused with the
/// way to convert them.
[[nodiscard]] std::filesystem::path adapter_weights_file(const std::filesystem::path& folder);

}  // namespace loraproof::adapter
