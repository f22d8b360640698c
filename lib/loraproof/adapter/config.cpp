// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/config.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/adapter/config_fields.h"
#include "loraproof/adapter/method_config.h"
#include "loraproof/adapter/target_match.h"
#include "loraproof/core/json.h"

namespace loraproof::adapter {
namespace {

constexpr std::int64_t kMaxRank = 1 << 20;  // above any layer width: a typing error or an attack
constexpr std::size_t kMaxNames = 100'000;  // all-linear of the largest models stays below
constexpr std::size_t kMaxTokens = 10'000'000;
constexpr std::size_t kMaxPatterns = 10'000;
constexpr std::size_t kMaxConfigBytes = 64 << 20;

std::vector<std::string> strings(const JsonObject& config, std::string_view key, const Json& list) {
  if (list.size() > kMaxNames) {
    throw config.error(key, "the list is too long", fmt::format("at most {} names", kMaxNames),
                       fmt::format("{}", list.size()));
  }
  std::vector<std::string> result;
  for (const Json& item : list) {
    if (!item.is_string()) {
      throw config.error(key, "the list holds a value that is not a string", "module names",
                         brief(item));
    }
    result.push_back(item.get<std::string>());
  }
  return result;
}

/// null, a string or a list of strings.
std::vector<std::string> string_or_list(const JsonObject& config, std::string_view key) {
  const Json* value = config.find(key);
  if (value == nullptr) return {};
  if (value->is_string()) {
    const auto text = value->get<std::string>();
    return text.empty() ? std::vector<std::string>{} : std::vector<std::string>{text};
  }
  if (value->is_array()) return strings(config, key, *value);
  throw config.error(key, "the value has the wrong type", "a string or a list of strings",
                     brief(*value));
}

std::optional<ModuleSelector> selector(const JsonObject& config, std::string_view key) {
  const Json* value = config.find(key);
  if (value == nullptr) return std::nullopt;
  ModuleSelector result;
  if (value->is_array()) {
    result.names = strings(config, key, *value);
    return result;
  }
  if (!value->is_string()) {
    throw config.error(key, "the value has the wrong type",
                       "a list of module names or one regular expression", brief(*value));
  }
  result.kind = ModuleSelector::Kind::Regex;
  result.pattern = value->get<std::string>();
  return result;
}

// `parameters`: the configuration adapts parameters, and may then name no module.
ModuleSelector targets(const JsonObject& config, bool parameters) {
  auto result = selector(config, "target_modules");
  if (!result && parameters) return {};
  if (!result) {
    throw config.error("target_modules",
                       "the field is missing or null, and PEFT then guesses from the model type",
                       "a list of module names, a regular expression, or \"all-linear\"", "null",
                       "save the adapter again with PEFT: it writes the names it chose");
  }
  std::string lower = result->pattern;  // as tuners_utils.py _maybe_include_all_linear_layers
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (lower == "all-linear") *result = {ModuleSelector::Kind::AllLinear, {}, ""};
  return *result;
}

std::optional<std::vector<std::int64_t>> layers(const JsonObject& config) {
  const Json* value = config.find("layers_to_transform");
  if (value == nullptr || (value->is_array() && value->empty())) return std::nullopt;
  const auto one = [&](const Json& item) {
    if (!item.is_number_integer()) {
      throw config.error("layers_to_transform", "a layer index is not an integer",
                         "an integer or a list of integers", brief(item));
    }
    return item.get<std::int64_t>();
  };
  std::vector<std::int64_t> result;
  if (!value->is_array()) return std::vector<std::int64_t>{one(*value)};
  if (value->size() > kMaxNames) throw config.error("layers_to_transform", "the list is too long");
  for (const Json& item : *value) result.push_back(one(item));
  return result;
}

std::int64_t rank(const JsonObject& config, std::string_view key, const Json& value) {
  const bool valid = value.is_number_integer() && value.get<std::int64_t>() >= 1 &&
                     value.get<std::int64_t>() <= kMaxRank;
  if (!valid) {
    throw config.error(key, "the rank is not a positive integer",
                       fmt::format("an integer from 1 to {}", kMaxRank), brief(value));
  }
  return value.get<std::int64_t>();
}

double alpha(const JsonObject& config, std::string_view key, const Json& value) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    throw config.error(key, "alpha is not a finite number", "a number", brief(value));
  }
  return value.get<double>();
}

void read_rank(const JsonObject& object, AdapterConfig& config) {
  if (config.method == Method::Vera) config.r = 256;
  const bool is_rank = config.method != Method::Oft;  // whose r is a number of blocks
  if (const Json* value = object.find("r"); value != nullptr && is_rank)
    config.r = rank(object, "r", *value);
  if (config.method == Method::Vera) config.lora_alpha = static_cast<double>(config.r);
  const char* name = config.method == Method::Lora ? "lora_alpha" : "alpha";
  if (const Json* value = object.find(name)) config.lora_alpha = alpha(object, name, *value);
}

template <typename Value, typename Read>
std::vector<std::pair<std::string, Value>> patterns(const JsonObject& config, std::string_view key,
                                                    Read read) {
  std::vector<std::pair<std::string, Value>> result;
  const Json* value = config.find(key);
  if (value == nullptr) return result;
  if (!value->is_object()) {
    throw config.error(key, "the value has the wrong type", "an object of pattern to number",
                       brief(*value));
  }
  if (value->size() > kMaxPatterns) {
    throw config.error(key, "there are too many patterns", fmt::format("at most {}", kMaxPatterns),
                       fmt::format("{}", value->size()));
  }
  for (const auto& [pattern, number] : value->items()) {
    result.emplace_back(pattern, read(config, key, number));
  }
  return result;
}

std::vector<std::int64_t> token_list(const JsonObject& config, const Json& list) {
  constexpr std::string_view kField = "trainable_token_indices";
  if (!list.is_array() || list.size() > kMaxTokens)
    throw config.error(kField, "the value is not a list of token ids", "integers", brief(list));
  std::vector<std::int64_t> tokens;
  for (const Json& item : list) {
    const bool valid = item.is_number_integer() && item.get<std::int64_t>() >= 0;
    if (!valid) throw config.error(kField, "a token id is no integer of 0 and up", "", brief(item));
    tokens.push_back(item.get<std::int64_t>());
  }
  std::vector<std::int64_t> sorted = tokens;
  std::ranges::sort(sorted);
  if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
    throw config.error(kField, "a token id is listed twice", "", fmt::format("{}", *twice));
  return tokens;
}

std::vector<TrainedTokens> trained_tokens(const JsonObject& config) {
  const Json* value = config.find("trainable_token_indices");
  if (value == nullptr || value->empty() || *value == false) return {};
  if (!value->is_object()) return {{"", token_list(config, *value)}};
  std::vector<TrainedTokens> result;
  for (const auto& [module, list] : value->items())
    result.push_back({module, token_list(config, list)});
  return result;
}

BiasMode bias(const JsonObject& config, Method method) {
  std::string only;
  for (const char c : name_of(method))
    only += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  only += "_only";
  const std::string value = config.string_or("bias", "none");
  if (value == "none") return BiasMode::None;
  if (value == "all") return BiasMode::All;
  if (value == only) return BiasMode::LoraOnly;
  throw config.error("bias", "the value is unknown", "none, all or " + only, value);
}

Method method_of(const JsonObject& config, Use use) {
  if (!config.has("peft_type")) {
    throw config.error("peft_type", "the field is missing, so this is not a PEFT adapter",
                       "\"LORA\"");
  }
  const std::string type = config.string("peft_type");
  const std::optional<Method> method = method_named(type);
  if (!method) {
    throw config.error("peft_type",
                       fmt::format("adapters of type {:.80} are not supported yet", type),
                       "LORA (also rsLoRA and DoRA, which are kinds of LORA); a merge also takes "
                       "IA3, LOHA, LOKR, VERA, OFT and BOFT",
                       type);
  }
  if (*method != Method::Lora && use == Use::Forward) {
    throw config.error("peft_type",
                       fmt::format("adapters of type {} can only be merged, not run", type),
                       "LORA (also rsLoRA and DoRA, which are kinds of LORA)", type,
                       "merge it first (loraproof merge, without --golden), then validate the "
                       "merged model");
  }
  return *method;
}

std::optional<ModuleSelector> feedforward(const JsonObject& config,
                                          const ModuleSelector& target_modules) {
  auto result = selector(config, "feedforward_modules");
  if (!result) {
    throw config.error("feedforward_modules",
                       "the field is missing or null, and PEFT then guesses from the model type",
                       "a list of module names (may be empty) or a regular expression", "null",
                       "save the adapter again with PEFT: it writes the names it chose");
  }
  const auto& targets = target_modules.names;
  const bool lists = result->kind == ModuleSelector::Kind::Names &&
                     target_modules.kind == ModuleSelector::Kind::Names;
  for (const std::string& name : result->names) {
    if (!lists || std::ranges::find(targets, name) != targets.end()) continue;
    throw config.error(
        "feedforward_modules", fmt::format("'{:.80}' is not one of target_modules", name),
        "a subset of target_modules", name, "PEFT refuses this configuration as well");
  }
  return result;
}

/// What LoraConfig.__post_init__ of PEFT refuses.
void refuse_contradictions(const JsonObject& object, const AdapterConfig& config) {
  const bool text = config.target_modules.kind != ModuleSelector::Kind::Names;
  if (text && object.has("layers_to_transform")) {
    throw object.error("layers_to_transform", "it cannot be used when target_modules is a string",
                       "null", "", "PEFT refuses this configuration as well");
  }
  if (text && object.has("layers_pattern")) {
    throw object.error("layers_pattern", "it cannot be used when target_modules is a string",
                       "null", "", "PEFT refuses this configuration as well");
  }
  if (!config.layers_pattern.empty() && !object.has("layers_to_transform")) {
    throw object.error("layers_pattern", "it needs layers_to_transform as well",
                       "layers_to_transform", "", "PEFT refuses this configuration as well");
  }
  if (config.lora_bias && config.use_dora) {
    throw object.error("lora_bias", "it cannot be used together with use_dora", "false", "true",
                       "PEFT refuses this configuration as well");
  }
}

}  // namespace

AdapterConfig parse_adapter_config(const Json& document, std::string_view file, Use use) {
  const JsonObject object(document, file);
  AdapterConfig config;
  config.file = std::string(file);
  config.method = method_of(object, use);
  if (config.method == Method::Lora) {
    refuse_unsupported_fields(object, use);
  } else {
    refuse_unknown_fields(object, config.method);
    config.settings = read_method_settings(object, config.method);
  }
  read_rank(object, config);
  config.use_rslora = object.boolean_or("use_rslora", false);
  config.use_dora = object.boolean_or("use_dora", false);
  config.lora_bias = object.boolean_or("lora_bias", false);
  config.fan_in_fan_out = object.boolean_or("fan_in_fan_out", false);
  config.bias = bias(object, config.method);
  config.rank_pattern = patterns<std::int64_t>(object, "rank_pattern", rank);
  config.alpha_pattern = patterns<double>(object, "alpha_pattern", alpha);
  if (object.has("target_parameters") && *object.find("target_parameters") != false)
    config.target_parameters = string_or_list(object, "target_parameters");
  config.trained_tokens = trained_tokens(object);
  config.target_modules = targets(object, !config.target_parameters.empty());
  config.exclude_modules = selector(object, "exclude_modules");
  if (config.method == Method::Ia3)
    config.feedforward_modules = feedforward(object, config.target_modules);
  config.layers_to_transform = layers(object);
  config.layers_pattern = string_or_list(object, "layers_pattern");
  if (object.has("modules_to_save") && !object.find("modules_to_save")->is_array()) {
    throw object.error("modules_to_save", "the value has the wrong type", "a list of module names",
                       brief(*object.find("modules_to_save")));
  }
  config.modules_to_save = string_or_list(object, "modules_to_save");
  config.init_lora_weights = checked_init_lora_weights(object, use);
  config.pissa = config.init_lora_weights == "pissa";
  config.base_model_name_or_path = object.string_or("base_model_name_or_path", "");
  config.revision = object.string_or("revision", "");
  config.peft_version = object.string_or("peft_version", "");
  config.task_type = object.string_or("task_type", "");
  config.inference_mode = object.boolean_or("inference_mode", false);
  refuse_contradictions(object, config);
  [[maybe_unused]] const TargetMatcher patterns_compile(config);
  return config;
}

AdapterConfig read_adapter_config(const std::filesystem::path& folder, Use use) {
  std::error_code code;
  const auto path = folder / "adapter_config.json";
  if (!std::filesystem::is_directory(folder, code)) {
    throw input_error({.id = "adapter.missing",
                       .message = "the adapter folder does not exist or is not a folder",
                       .file = folder.string(),
                       .hint = "pass the folder that PEFT's save_pretrained wrote"});
  }
  // With a code set the folder may not be looked into; reading says why.
  if (!std::filesystem::exists(path, code) && !code) {
    throw input_error({.id = "adapter.no_config",
                       .message = "the folder holds no adapter_config.json",
                       .file = folder.string(),
                       .hint = "pass the folder that PEFT's save_pretrained wrote"});
  }
  JsonLimits limits;
  limits.max_bytes = kMaxConfigBytes;
  return parse_adapter_config(read_json_file(path, limits), path.string(), use);
}

std::filesystem::path adapter_weights_file(const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto path = folder / "adapter_model.safetensors";
  if (std::filesystem::exists(path, ignored)) return path;
  for (const char* pickle : {"adapter_model.bin", "adapter_model.pt", "adapter_model.pth"}) {
    if (!std::filesystem::exists(folder / pickle, ignored)) continue;
    throw input_error({.id = "adapter.pickle",
                       .message = "pickle weights are refused: loading them can run code",
                       .file = (folder / pickle).string(),
                       .expected = "adapter_model.safetensors",
                       .found = pickle,
                       .hint = "convert on a machine you trust it on: safetensors.torch.save_file("
                               "torch.load(\"adapter_model.bin\", weights_only=True), "
                               "\"adapter_model.safetensors\", {\"format\": \"pt\"})"});
  }
  throw input_error({.message = "the folder holds no adapter weights",
                     .file = folder.string(),
                     .expected = "adapter_model.safetensors",
                     .hint = "pass the folder that PEFT's save_pretrained wrote"});
}

}  // namespace loraproof::adapter
