// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fstream>
#include <utility>

#include "loraproof/candidate/reading.h"
#include "loraproof/candidate/weight_source.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/model_folder.h"

namespace loraproof::candidate {
namespace {

namespace fs = std::filesystem;

struct Method {
  std::string_view name;  // quant_method of config.json
  void (*read)(Reading&);
};

constexpr std::array kMethods = {
    Method{"gptq", read_gptq},
    Method{"awq", read_awq},
    Method{"compressed-tensors", read_compressed_tensors},
    Method{"bitsandbytes", read_bitsandbytes},
    Method{"fp8", read_fp8},
    Method{"torchao", read_torchao},
};

const Method& method_of(const JsonObject& config) {
  const std::string name = config.string("quant_method");
  const auto found = std::ranges::find(kMethods, name, &Method::name);
  if (found != kMethods.end()) return *found;
  std::string names = "gguf files";
  for (const Method& one : kMethods) names += fmt::format(", {}", one.name);
  throw config.error("quant_method", "quantisation method is not read", names, brief(Json(name)),
                     "dequantise the checkpoint with its library and pass the result");
}

// "float16" or "bfloat16" of config.json, under its newer or its older key.
std::optional<io::DType> compute_type(const JsonObject& config) {
  std::string name = config.string_or("dtype", config.string_or("torch_dtype", ""));
  if (name.starts_with("torch.")) name = name.substr(6);
  if (name == "float16") return io::DType::F16;
  if (name == "bfloat16") return io::DType::BF16;
  return std::nullopt;
}

WeightSource open_gguf(const fs::path& path) {
  auto gguf = std::make_shared<const io::GgufFile>(path);
  GgufSummary summary = summarise(*gguf);
  std::vector<Weight> weights = read_gguf(*gguf, summary);
  return {{.path = path, .scheme = "gguf", .gguf = std::move(summary), .files = gguf},
          std::move(weights)};
}

WeightSource open_folder(const fs::path& folder) {
  const fs::path config_path = folder / "config.json";
  Json document = read_json_file(config_path);
  const JsonObject config(document, config_path.string());
  auto checkpoint = std::make_shared<const io::Checkpoint>(io::Checkpoint::open(folder));
  // compression_config is the older name that compressed-tensors used.
  const char* key =
      config.has("quantization_config") ? "quantization_config" : "compression_config";
  std::string scheme = "none";
  std::vector<Weight> weights;
  if (config.has(key)) {
    const JsonObject quantisation = config.object(key);
    Reading reading(*checkpoint, quantisation, compute_type(config));
    const Method& method = method_of(quantisation);
    method.read(reading);
    scheme = method.name;
    weights = reading.take_weights();
  } else {
    Reading reading(*checkpoint, config, std::nullopt);
    read_plain(reading, {});
    weights = reading.take_weights();
  }
  return {{.path = folder,
           .scheme = std::move(scheme),
           .config = std::move(document),
           .files = checkpoint},
          std::move(weights)};
}

bool is_gguf(const fs::path& path) {
  std::array<char, 4> magic{};
  std::ifstream(path, std::ios::binary).read(magic.data(), magic.size());
  return std::string_view(magic.data(), magic.size()) == "GGUF" || path.extension() == ".gguf";
}

}  // namespace

WeightSource open_candidate(const std::string& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored) && is_gguf(path)) return open_gguf(path);
  return open_folder(io::resolve_model_folder(path));
}

}  // namespace loraproof::candidate
