// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/placement_hints.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <vector>

#include "loraproof/core/suggest.h"

namespace loraproof::adapter {
namespace {

constexpr std::size_t kMaxNameBytes = 256;  // edit distance of longer names is not worth its time

/// "model.layers.7.mlp" -> "model.layers.*.mlp"
std::string without_numbers(std::string_view path) {
  std::string result;
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const std::string_view piece = path.substr(begin, end - begin);
    const bool number = !piece.empty() && piece.find_first_not_of("0123456789") == piece.npos;
    if (begin > 0) result += '.';
    result += number ? "*" : piece;
    begin = end + 1;
  }
  return result;
}

/// The only base module that ends with ".path", or that "path" ends with.
std::string unique_tail(const std::string& path, const BaseModules& base) {
  std::string found;
  for (const auto& [name, module] : base) {
    const bool hit = name.ends_with("." + path) || path.ends_with("." + name);
    if (!hit) continue;
    if (!found.empty()) return "";
    found = name;
  }
  return found;
}

bool is_lora_part(Part part) {
  return part == Part::LoraA || part == Part::LoraB || part == Part::LoraBBias ||
         part == Part::EmbeddingA || part == Part::EmbeddingB || part == Part::Magnitude;
}

std::optional<MisplacedReason> misplaced_lora(const AdapterKey& key, const BaseModule& module,
                                              const ModuleRole& role) {
  if (role.is_saved) {
    return MisplacedReason{
        "modules_to_save replaces this module, so PEFT loads no LoRA tensors for it",
        "take the module out of modules_to_save, or remove the tensors"};
  }
  if (!role.is_target) {
    return MisplacedReason{
        "the configuration does not adapt this module, so PEFT does not load the tensor",
        "target_modules, exclude_modules or layers_to_transform differ from those of the training"};
  }
  const bool embedding = module.kind == BaseModule::Kind::Embedding;
  const bool for_embedding = key.part == Part::EmbeddingA || key.part == Part::EmbeddingB;
  if (key.part != Part::Magnitude && embedding != for_embedding) {
    return MisplacedReason{
        embedding
            ? "the module is an embedding, whose tensors are lora_embedding_A and lora_embedding_B"
            : "the module is a linear layer, whose tensors are lora_A and lora_B",
        "the adapter was trained on a model of another structure"};
  }
  if (key.part == Part::Magnitude && !role.use_dora) {
    return MisplacedReason{
        "the tensor belongs to DoRA, but use_dora is not set, so PEFT does not load it",
        "set use_dora to true in adapter_config.json if the adapter was trained with it"};
  }
  if (key.part == Part::LoraBBias && !role.lora_bias) {
    return MisplacedReason{
        "the tensor is a bias of lora_B, but lora_bias is not set, so PEFT does not load it",
        "set lora_bias to true in adapter_config.json if the adapter was trained with it"};
  }
  return std::nullopt;
}

}  // namespace

std::optional<MisplacedReason> misplaced_reason(const AdapterKey& key, const BaseModule& module,
                                                const ModuleRole& role) {
  if (is_lora_part(key.part)) return misplaced_lora(key, module, role);
  const bool under_lora = key.part == Part::BaseWeight || key.part == Part::BaseBias;
  if (under_lora && !role.is_target) {
    return MisplacedReason{
        "'base_layer' names a weight under a LoRA module, but the configuration does not adapt "
        "this one",
        "target_modules differs from that of the training, or the key should lack '.base_layer'"};
  }
  if (!under_lora && role.is_target) {
    return MisplacedReason{
        "the configuration adapts this module, and PEFT then expects '.base_layer' in the key of a "
        "whole tensor",
        "an older PEFT release wrote it; insert '.base_layer' before the last part of the key"};
  }
  const bool bias = key.part == Part::Bias || key.part == Part::BaseBias;
  if (bias && !module.has_bias) {
    return MisplacedReason{"the base has no bias in this module",
                           "the adapter was trained on another base"};
  }
  return std::nullopt;
}

std::string nearest_module_hint(const std::string& path, const BaseModules& base) {
  const std::string shape = without_numbers(path);
  for (const auto& [name, module] : base) {
    if (without_numbers(name) == shape) {
      return fmt::format(
          "the base has it in other layers ('{}'): it has fewer layers, or the numbers are shifted",
          name);
    }
  }
  if (const std::string tail = unique_tail(path, base); !tail.empty()) {
    return fmt::format(
        "the closest module of the base is '{}': the adapter was trained through another class of "
        "the model",
        tail);
  }
  if (path.size() > kMaxNameBytes) return "the adapter was trained on another model";
  std::vector<std::string> names;
  for (const auto& [name, module] : base) names.push_back(name);
  const std::string near = nearest_name(path, names);
  return near.empty() ? "the adapter was trained on another model"
                      : fmt::format("the closest module of the base is '{}'", near);
}

std::string nearest_name_hint(const std::string& name, const BaseModules& base) {
  if (name.size() > kMaxNameBytes) return "the adapter was trained on another model";
  std::set<std::string> tails;
  for (const auto& [path, module] : base) tails.insert(path.substr(path.rfind('.') + 1));
  const std::string near = nearest_name(name, std::vector<std::string>(tails.begin(), tails.end()));
  return near.empty() ? "PEFT passes over it; remove it if the other names are all that was trained"
                      : fmt::format("did you mean '{}'?", near);
}

}  // namespace loraproof::adapter
