// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/digest.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/io/safetensors_writer.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "unit/adapter/support.h"

using namespace loraproof;

namespace {

std::map<std::string, std::string> fields_of(const Json& config) {
  return adapter::meaning_fields(adapter::parse_adapter_config(config, "f"));
}

Json patterns() { return read_json_file(test::fixture("patterns") / "adapter_config.json"); }

// Writes the adapter's tensors to `path`, and returns it.
std::filesystem::path stored(const test::EditableAdapter& adapter,
                             const std::filesystem::path& path) {
  std::vector<io::TensorView> views;
  for (const auto& tensor : adapter.tensors)
    views.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  io::write_safetensors(path, views);
  return path;
}

}  // namespace

TEST_CASE("lineage and the order of sets are not part of an adapter's identity") {
  Json config = patterns();
  config["base_model_name_or_path"] = "elsewhere";
  config["peft_version"] = "0.1.0";
  config["lora_dropout"] = 0.5;
  config["inference_mode"] = false;
  config["task_type"] = nullptr;
  config["target_modules"] = Json::array(
      {"v_proj", "q_proj", "k_proj", "o_proj", "up_proj", "gate_proj", "down_proj", "up_proj"});
  CHECK(fields_of(config) == fields_of(patterns()));
}

TEST_CASE("each meaningful field has its own entry") {
  const auto reference = fields_of(patterns());
  const std::vector<std::pair<std::string, Json>> changes = {
      {"r", 5},
      {"lora_alpha", 9},
      {"use_rslora", true},
      {"use_dora", true},
      {"lora_bias", true},
      {"bias", "all"},
      {"rank_pattern", Json{{"q_proj", 3}}},
      {"alpha_pattern", Json::object()},
      {"target_modules", Json::array({"q_proj"})},
      {"exclude_modules", Json::array({"q_proj"})},
      {"layers_to_transform", 1},
      {"modules_to_save", Json::array({"lm_head"})}};
  for (const auto& [field, value] : changes) {
    INFO(field);
    Json config = patterns();
    config[field] = value;
    const auto changed = fields_of(config);
    REQUIRE(changed.size() == reference.size());
    for (const auto& [name, text] : reference) {
      INFO(name);
      CHECK((changed.at(name) != text) == (name == field));
    }
  }
  CHECK(reference.at("lora_alpha") == "8.0");
  CHECK(reference.at("layers_to_transform") == "null");
  CHECK(reference.at("bias") == "\"none\"");
}

TEST_CASE("the order of patterns is part of the identity, because the first match wins") {
  Json swapped = patterns();
  Json reversed = Json::object();
  for (auto it = swapped["rank_pattern"].rbegin(); it != swapped["rank_pattern"].rend(); ++it) {
    reversed[it.key()] = it.value();
  }
  swapped["rank_pattern"] = reversed;
  CHECK(fields_of(swapped).at("rank_pattern") != fields_of(patterns()).at("rank_pattern"));
}

TEST_CASE("a changed tensor is named and changes the digest") {
  test::EditableAdapter plain("plain");
  const auto config = adapter::parse_adapter_config(plain.config, "adapter_config.json");
  const test::TempDir folder;
  const io::SafetensorsFile file(stored(plain, folder.path() / "plain"));
  const auto identity = adapter::identify(config, file);
  CHECK(identity.tensors.size() == 8);
  CHECK(identity.digest.rfind("sha256:", 0) == 0);
  plain.tensors[3].floats()[0] += 1.0f;
  const auto changed =
      adapter::identify(config, io::SafetensorsFile(stored(plain, folder.path() / "changed")));
  CHECK(changed.digest != identity.digest);
  for (const auto& [name, digest] : changed.tensors)
    CHECK((digest != identity.tensors.at(name)) == (name == plain.tensors[3].name));
  auto doubled = config;
  doubled.lora_alpha *= 2;
  const auto other = adapter::identify(doubled, file);
  CHECK(other.digest != identity.digest);
  CHECK(other.tensors == identity.tensors);
  CHECK(other.fields.at("lora_alpha") == "16.0");
}

TEST_CASE("an adapter that was widened to f32 is the same adapter") {
  test::EditableAdapter plain("plain");
  const test::TempDir folder;
  const auto digest_of = [&](test::EditableAdapter& adapter, const std::string& name) {
    const auto config = adapter::parse_adapter_config(adapter.config, "adapter_config.json");
    return adapter::identify(config, io::SafetensorsFile(stored(adapter, folder.path() / name)))
        .digest;
  };
  test::EditableAdapter narrow = plain, wide = plain;
  for (std::size_t i = 0; i < plain.tensors.size(); ++i) {
    auto& stored = narrow.tensors[i];
    const std::size_t count = plain.tensors[i].count();
    stored.dtype = io::DType::BF16;
    stored.bytes.resize(count * 2);
    for (std::size_t k = 0; k < count; ++k) {  // the upper half of an f32 is a bfloat16
      std::byte* value = wide.tensors[i].bytes.data() + k * 4;
      std::copy(value + 2, value + 4, stored.bytes.data() + k * 2);
      std::fill(value, value + 2, std::byte{0});
    }
  }
  const std::string digest = digest_of(narrow, "narrow");
  CHECK(digest == digest_of(wide, "wide"));
  CHECK(digest != digest_of(plain, "plain"));
}
