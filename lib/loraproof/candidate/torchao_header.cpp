// SPDX-License-Identifier: Apache-2.0
#include "loraproof/candidate/torchao_header.h"

#include <map>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::candidate {
namespace {

constexpr const char* kNames = "tensor_names";
constexpr std::size_t kDescriptionBytes = std::size_t{1} << 16;
constexpr int kDescriptionDepth = 12;  // Attributes of attributes: six levels in torchao 0.18.

Json parsed(const std::string& text, const std::string& where, const JsonLimits& limits) {
  try {
    return parse_json(text, where, limits);
  } catch (const Error& error) {
    ErrorDetail detail = error.detail();
    detail.expected = "what torchao writes as JSON";
    detail.found = brief(Json(text));
    detail.hint = kDescriptionHint;
    throw input_error(std::move(detail));
  }
}

std::vector<std::string> strings_of(const Json& value, const JsonObject& owner, const char* key) {
  std::vector<std::string> result;
  bool good = value.is_array();
  if (good) {
    for (const Json& one : value) {
      good = good && one.is_string() && !one.get_ref<const std::string&>().empty();
      if (good) result.push_back(one.get<std::string>());
    }
  }
  if (!good) {
    throw owner.error(key, "bad list of names", "a list of names", brief(value), kDescriptionHint);
  }
  return result;
}

// tensor_names of one file; none where its header has no such key.
std::vector<std::string> names_in(const io::SafetensorsFile& file, const std::string& path) {
  const auto found = file.metadata().find(kNames);
  if (found == file.metadata().end()) return {};
  const std::string where = path + ": __metadata__";
  Json document = Json::object();
  document[kNames] = parsed(found->second, where + "/" + kNames,
                            {.max_bytes = io::kMaxSafetensorsHeaderBytes, .max_depth = 2});
  return strings_of(document[kNames], JsonObject(document, where), kNames);
}

TorchaoTensor described(const std::string& name, const std::string& file, const std::string& text) {
  TorchaoTensor tensor{.name = name, .file = file, .where = file + ": " + name};
  tensor.description =
      parsed(text, tensor.where, {.max_bytes = kDescriptionBytes, .max_depth = kDescriptionDepth});
  const JsonObject root(tensor.description, tensor.where);
  tensor.type = root.string("_type");
  if (tensor.type == kPlainTensor) return tensor;
  const Json* parts = root.find("_tensor_data_names");
  tensor.parts = strings_of(parts == nullptr ? Json() : *parts, root, "_tensor_data_names");
  return tensor;
}

}  // namespace

std::vector<TorchaoTensor> torchao_tensors(const io::Checkpoint& checkpoint) {
  std::map<std::string, std::pair<std::string, std::string>> texts;  // name -> file, description
  for (const io::SafetensorsFile& file : checkpoint.files()) {
    const std::string path = file.file().path().string();
    for (const std::string& name : names_in(file, path)) {
      const auto text = file.metadata().find(name);
      if (text == file.metadata().end()) {
        throw input_error({.message = "header lists a tensor that it does not describe",
                           .file = path,
                           .where = name,
                           .expected = "a description in __metadata__ under this name",
                           .found = "nothing",
                           .hint = kDescriptionHint});
      }
      const auto [known, is_new] = texts.try_emplace(name, path, text->second);
      if (!is_new && known->second.second != text->second) {
        throw input_error({.message = "two shards describe a tensor differently",
                           .file = path,
                           .where = name,
                           .expected = "the description in " + known->second.first,
                           .found = "another",
                           .hint = "the shards are from different exports, or one is old"});
      }
    }
  }
  if (texts.empty()) {
    throw input_error({.message = "header does not describe the tensors of torchao",
                       .file = checkpoint.files().front().file().path().string(),
                       .where = std::string("__metadata__/") + kNames,
                       .expected = "the names of the tensors",
                       .found = "nothing",
                       .hint = "save the model again with a current torchao and transformers; "
                               "tools that rewrite safetensors files may have dropped it"});
  }
  std::vector<TorchaoTensor> tensors;
  for (const auto& [name, text] : texts) {
    tensors.push_back(described(name, text.first, text.second));
  }
  return tensors;
}

}  // namespace loraproof::candidate
