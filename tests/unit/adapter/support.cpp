// SPDX-License-Identifier: Apache-2.0
#include "unit/adapter/support.h"

#include <algorithm>
#include <stdexcept>

#include "loraproof/core/json.h"
#include "loraproof/io/safetensors_writer.h"

namespace loraproof::test {

namespace {
const std::filesystem::path kRoot = LORAPROOF_SOURCE_DIR;
}

const Json& landing_values() {
  static const Json values = read_json_file(kRoot / "golden/values/adapter_landing.json");
  return values;
}

const Json& target_values() {
  static const Json values = read_json_file(kRoot / "golden/values/adapter_targets.json");
  return values;
}

std::filesystem::path fixture(std::string_view name) {
  return kRoot / "tests/fixtures/adapters" / name;
}

adapter::BaseModules base_modules(std::string_view base) {
  using Kind = adapter::BaseModule::Kind;
  adapter::BaseModules result;
  for (const auto& [path, entry] : landing_values().at("bases").at(std::string(base)).items()) {
    const auto kind = entry.at("kind").get<std::string>();
    adapter::BaseModule module;
    module.kind = kind == "linear"      ? Kind::Linear
                  : kind == "embedding" ? Kind::Embedding
                                        : Kind::Norm;
    module.out = entry.at("out");
    module.in = entry.at("in");
    module.has_bias = entry.at("bias");
    module.is_output_head = entry.at("head");
    module.tied_to = entry.at("tied_to").get<std::string>();
    result[path] = module;
  }
  return result;
}

EditableAdapter::EditableAdapter(std::string_view fixture_name)
    : config(read_json_file(fixture(fixture_name) / "adapter_config.json")),
      base(landing_values()
               .at("cases")
               .at(std::string(fixture_name))
               .at("base")
               .get<std::string>()) {
  const io::SafetensorsFile file(fixture(fixture_name) / "adapter_model.safetensors");
  for (const auto& view : file.tensors()) {
    tensors.push_back({view.name, view.dtype, view.shape, {view.bytes.begin(), view.bytes.end()}});
  }
}

EditableAdapter::Tensor& EditableAdapter::at(std::string_view name) {
  for (auto& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::out_of_range("no tensor " + std::string(name));
}

void EditableAdapter::erase_if(const std::function<bool(const Tensor&)>& unwanted) {
  tensors.erase(std::remove_if(tensors.begin(), tensors.end(), unwanted), tensors.end());
}

void EditableAdapter::rename(std::string_view find, std::string_view replace) {
  for (auto& tensor : tensors) {
    const std::size_t at = tensor.name.find(find);
    if (at != std::string::npos) tensor.name.replace(at, find.size(), replace);
  }
}

adapter::Landing EditableAdapter::land() const {
  const TempDir folder;
  const auto path = folder.path() / "adapter_model.safetensors";
  std::vector<io::TensorView> views;
  for (const auto& tensor : tensors) {
    views.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  }
  io::write_safetensors(path, views);
  const auto parsed = adapter::parse_adapter_config(config, "adapter_config.json");
  return adapter::land(parsed, io::SafetensorsFile(path), base_modules(base));
}

std::string key(std::string_view path) { return "base_model.model." + std::string(path); }

const adapter::Finding* find(const adapter::Landing& landing, std::string_view id) {
  for (const auto& finding : landing.findings) {
    if (finding.id == id) return &finding;
  }
  return nullptr;
}

std::string text_of(const std::vector<adapter::Finding>& findings) {
  std::string text;
  for (const auto& f : findings) {
    text += f.id + ": " + f.subject + ": " + f.message + " | " + f.hint + "\n";
  }
  return text;
}

Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("expected an Error");
}

}  // namespace loraproof::test
