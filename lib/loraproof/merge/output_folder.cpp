// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/output_folder.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"

namespace loraproof::merge {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConfig = "config.json";
constexpr std::string_view kIndex = "model.safetensors.index.json";

bool is_weight_file(const fs::path& path) {
  constexpr std::array<std::string_view, 9> kEnds = {
      ".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".index.json"};
  const std::string name = path.filename().string();
  return std::ranges::any_of(kEnds, [&](std::string_view end) { return name.ends_with(end); });
}

bool is_tokenizer_file(const std::string& name) {
  constexpr std::array<std::string_view, 8> kNames = {
      "tokenizer.json",    "tokenizer_config.json", "special_tokens_map.json",
      "added_tokens.json", "tokenizer.model",       "vocab.json",
      "merges.txt",        "chat_template.jinja"};
  return std::ranges::find(kNames, name) != kNames.end();
}

std::size_t added_tokens(const fs::path& folder) {
  const fs::path file = folder / "tokenizer.json";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return 0;
  const Json json = read_json_file(file);
  const auto added = json.find("added_tokens");
  return added != json.end() && added->is_array() ? added->size() : 0;
}

void copy_to(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::copy_file(from, to, code);  // follows the links of a Hugging Face cache
  if (!code) return;
  throw input_error({.message = "cannot copy: " + code.message(),
                     .file = from.string(),
                     .hint = "to " + to.string()});
}

std::string dtype_name(io::DType dtype) {
  switch (dtype) {
    case io::DType::BF16: return "bfloat16";
    case io::DType::F16: return "float16";
    default: return "float32";
  }
}

// The switch and the type stand in config.json itself, and in a text model's own part of it.
void change(Json& config, const MergePlan& plan, std::optional<io::DType> dtype) {
  if (!plan.untied_head.empty()) config["tie_word_embeddings"] = false;
  if (plan.vocab_size) config["vocab_size"] = *plan.vocab_size;
  if (dtype) config[config.contains("dtype") ? "dtype" : "torch_dtype"] = dtype_name(*dtype);
  const auto text = config.find("text_config");
  if (text == config.end() || !text->is_object()) return;
  if (plan.vocab_size && text->contains("vocab_size")) (*text)["vocab_size"] = *plan.vocab_size;
  if (!plan.untied_head.empty()) (*text)["tie_word_embeddings"] = false;
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (dtype && text->contains(key)) (*text)[key] = dtype_name(*dtype);
  }
}

Json index_of(const Json& before, const MergePlan& plan) {
  Json index = before;
  Json map = Json::object();
  for (const PlannedFile& file : plan.files) {
    for (const PlannedTensor& tensor : file.tensors) map[tensor.spec.name] = file.name;
  }
  index["weight_map"] = std::move(map);
  index["metadata"]["total_size"] = plan.output_bytes;
  return index;
}

}  // namespace

SideFiles copy_side_files(const fs::path& base, const MergePlan& plan, const fs::path& adapter,
                          const fs::path& out) {
  const bool use_adapters_tokenizer = added_tokens(adapter) > added_tokens(base);
  SideFiles files;
  for (const auto& entry : fs::directory_iterator(base)) {
    const std::string name = entry.path().filename().string();
    if (name == kConfig || name == kIndex || name.starts_with('.')) continue;
    if (std::ranges::find(plan.files, name, &PlannedFile::name) != plan.files.end()) continue;
    const bool replaced = use_adapters_tokenizer && is_tokenizer_file(name);
    if (replaced && fs::exists(adapter / name)) continue;
    if (!entry.is_regular_file() || is_weight_file(entry.path()) || name == "README.md") {
      files.left_out.push_back(name);
      continue;
    }
    copy_to(entry.path(), out / name);
    files.copied.push_back(name);
  }
  for (const auto& entry : fs::directory_iterator(adapter)) {
    const std::string name = entry.path().filename().string();
    if (!use_adapters_tokenizer || !is_tokenizer_file(name)) continue;
    copy_to(entry.path(), out / name);
    files.from_adapter.push_back(name);
  }
  for (auto* names : {&files.copied, &files.from_adapter, &files.left_out})
    std::ranges::sort(*names);
  return files;
}

void write_config(const fs::path& base, const MergePlan& plan, std::optional<io::DType> dtype,
                  const fs::path& out) {
  const bool changed =
      !plan.untied_head.empty() || plan.vocab_size.has_value() || dtype.has_value();
  const fs::path index = base / kIndex;
  const bool single = plan.files.size() == 1 && plan.files.front().name == "model.safetensors";
  if (!single) {
    if (changed) {
      write_file_atomically(out / kIndex, index_of(read_json_file(index), plan).dump(2) + "\n");
    } else {
      copy_to(index, out / kIndex);
    }
  }
  if (!changed) return copy_to(base / kConfig, out / kConfig);
  Json config = read_json_file(base / kConfig);
  change(config, plan, dtype);
  write_file_atomically(out / kConfig, config.dump(2) + "\n");
}

}  // namespace loraproof::merge
