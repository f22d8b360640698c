// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/digest.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>
#include <vector>

#include "loraproof/adapter/tensor_values.h"
#include "loraproof/core/digest.h"
#include "loraproof/core/json.h"

namespace loraproof::adapter {
namespace {

Json sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Json selector_json(const ModuleSelector& selector) {
  if (selector.kind == ModuleSelector::Kind::AllLinear) return "all-linear";
  if (selector.kind == ModuleSelector::Kind::Regex) return selector.pattern;
  return sorted(selector.names);
}

/// [["key", value], ...]: an object would suggest that the order does not matter.
template <typename Value>
Json pattern_json(const std::vector<std::pair<std::string, Value>>& patterns) {
  Json result = Json::array();
  for (const auto& [key, value] : patterns) result.push_back(Json::array({key, value}));
  return result;
}

Json layers_json(const AdapterConfig& config) {
  if (!config.layers_to_transform) return nullptr;
  std::vector<std::int64_t> layers = *config.layers_to_transform;
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  return layers;
}

// PEFT widens 16-bit adapters to f32 when it loads them, and saves them so.
std::string value_digest(const io::TensorView& view) {
  const std::optional<Narrowed> narrow = narrowed(view);
  if (!narrow) return io::tensor_digest(view);
  return io::tensor_digest(
      {.name = view.name, .dtype = narrow->dtype, .shape = view.shape, .bytes = narrow->bytes});
}

const char* bias_text(BiasMode mode) {
  switch (mode) {
    case BiasMode::None: return "none";
    case BiasMode::All: return "all";
    case BiasMode::LoraOnly: return "lora_only";
  }
  return "";
}

void add_method_fields(const AdapterConfig& config, std::map<std::string, std::string>& fields) {
  const MethodSettings& settings = config.settings;
  fields["peft_type"] = name_of(config.method);
  if (config.feedforward_modules)
    fields["feedforward_modules"] = selector_json(*config.feedforward_modules).dump();
  fields["method"] =
      Json::array({settings.effective_conv, settings.decompose_both, settings.decompose_factor,
                   settings.oft_blocks, settings.oft_block_size, settings.block_share,
                   settings.coft, settings.coft ? Json(settings.coft_eps) : Json(nullptr),
                   settings.neumann_terms ? Json(*settings.neumann_terms) : Json(nullptr),
                   settings.boft_block_size, settings.boft_blocks, settings.butterfly_factors})
          .dump();
}

}  // namespace

std::map<std::string, std::string> meaning_fields(const AdapterConfig& config) {
  const bool excludes = config.exclude_modules && !(config.exclude_modules->names.empty() &&
                                                    config.exclude_modules->pattern.empty());
  std::map<std::string, std::string> fields = {
      {"r", Json(config.r).dump()},
      {"lora_alpha", Json(config.lora_alpha).dump()},
      {"use_rslora", Json(config.use_rslora).dump()},
      {"use_dora", Json(config.use_dora).dump()},
      {"lora_bias", Json(config.lora_bias).dump()},
      {"bias", Json(bias_text(config.bias)).dump()},
      {"rank_pattern", pattern_json(config.rank_pattern).dump()},
      {"alpha_pattern", pattern_json(config.alpha_pattern).dump()},
      {"target_modules", selector_json(config.target_modules).dump()},
      {"exclude_modules", excludes ? selector_json(*config.exclude_modules).dump() : "null"},
      {"layers_to_transform", layers_json(config).dump()},
      {"layers_pattern", Json(config.layers_pattern).dump()},
      {"modules_to_save", sorted(config.modules_to_save).dump()},
  };
  // Only where they say something: the digests of other adapters are older than these fields.
  if (!config.target_parameters.empty())
    fields["target_parameters"] = sorted(config.target_parameters).dump();
  for (const TrainedTokens& trained : config.trained_tokens)
    fields["trainable_token_indices " + trained.module] = Json(trained.tokens).dump();
  if (config.method != Method::Lora) add_method_fields(config, fields);
  if (config.pissa) fields["init_lora_weights"] = "pissa";
  return fields;
}

AdapterIdentity identify(const AdapterConfig& config, const io::SafetensorsFile& file) {
  AdapterIdentity identity;
  identity.fields = meaning_fields(config);
  for (const auto& view : file.tensors()) {
    identity.tensors[view.name] = value_digest(view);
    file.file().done_with(view.bytes);
  }
  Sha256 sha;
  sha.update("loraproof.adapter/1\n");
  sha.update(io::combined_digest(identity.tensors)).update("\n");
  for (const auto& [name, value] : identity.fields) {
    sha.update(fmt::format("{} {}\n", name, value));
  }
  identity.digest = sha.finish();
  return identity;
}

}  // namespace loraproof::adapter
