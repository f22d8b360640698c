// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/config.h"

#include <string>
#include <utility>
#include <vector>

#include "loraproof/core/json.h"
#include "support/catch.h"
#include "unit/adapter/support.h"

using namespace loraproof;
using adapter::AdapterConfig;
using adapter::ModuleSelector;
using adapter::parse_adapter_config;
using test::error_of;

namespace {

Json plain() { return Json{{"peft_type", "LORA"}, {"target_modules", Json::array({"q_proj"})}}; }

Json with(const std::string& field, Json value) {
  Json config = plain();
  config[field] = std::move(value);
  return config;
}

Error refusal(const Json& config) {
  return error_of([&] { (void)parse_adapter_config(config, "adapter_config.json"); });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every configuration that PEFT saved is read") {
  for (const auto& [name, value] : test::landing_values().at("cases").items()) {
    INFO(name);
    const AdapterConfig config = adapter::read_adapter_config(test::fixture(name));
    CHECK(config.peft_version == "0.21.2");
    CHECK(config.task_type == "CAUSAL_LM");
    CHECK(config.inference_mode);
    CHECK(config.base_model_name_or_path == value.at("base").get<std::string>());
  }
}

TEST_CASE("fields keep their values, absent ones PEFT's defaults") {
  const AdapterConfig defaults = parse_adapter_config(plain(), "f");
  CHECK(defaults.r == 8);
  CHECK(defaults.lora_alpha == 8.0);
  CHECK_FALSE(defaults.use_rslora);
  CHECK(defaults.bias == adapter::BiasMode::None);
  CHECK_FALSE(defaults.layers_to_transform);

  const AdapterConfig patterns = adapter::read_adapter_config(test::fixture("patterns"));
  REQUIRE(patterns.rank_pattern.size() == 4);
  // The order of the file: PEFT sorts the keys when it saves.
  CHECK(patterns.rank_pattern[0].first == "(gate|up)_proj");
  CHECK(patterns.rank_pattern[1].first == "^model\\.layers\\.1\\.mlp\\.down_proj");
  CHECK(patterns.rank_pattern[0].second == 5);
  CHECK(patterns.alpha_pattern.size() == 3);

  CHECK(adapter::read_adapter_config(test::fixture("bias_all")).bias == adapter::BiasMode::All);
  CHECK(adapter::read_adapter_config(test::fixture("bias_lora_only")).bias ==
        adapter::BiasMode::LoraOnly);
  CHECK(adapter::read_adapter_config(test::fixture("dora")).use_dora);
  CHECK(adapter::read_adapter_config(test::fixture("lora_bias")).lora_bias);
  CHECK(adapter::read_adapter_config(test::fixture("rslora")).use_rslora);
  CHECK(adapter::read_adapter_config(test::fixture("layers_int")).layers_to_transform ==
        std::vector<std::int64_t>{0});
  CHECK(parse_adapter_config(with("target_modules", "All-Linear"), "f").target_modules.kind ==
        ModuleSelector::Kind::AllLinear);
  CHECK(parse_adapter_config(with("lora_alpha", 0.5), "f").lora_alpha == 0.5);
  CHECK(parse_adapter_config(with("init_lora_weights", false), "f").init_lora_weights == "false");
}

TEST_CASE("features that change the adapter are refused by name, and allowed when off") {
  const std::vector<std::pair<std::string, Json>> features = {
      {"layer_replication", Json::array({Json::array({0, 4})})},
      {"alora_invocation_tokens", Json::array({1, 2})},
      {"arrow_config", Json{{"top_k", 3}}},
      {"use_qalora", true},
      {"use_bdlora", Json{{"nblocks", 2}}},
      {"target_parameters", Json::array({"experts.gate_up_proj"})},
      {"trainable_token_indices", Json::array({7})},
      {"megatron_config", Json{{"a", 1}}},
      {"kasa_config", Json{{"beta", 0.1}}},
      {"monteclora_config", Json{{"a", 1}}},
      {"velora_config", Json{{"num_groups", 64}}},
      {"ensure_weight_tying", true},
      {"enable_lora", Json::array({true, false})}};
  for (const auto& [field, value] : features) {
    INFO(field);
    const Error error = refusal(with(field, value));
    CHECK(error.kind() == ErrorKind::Input);
    CHECK(contains(error.detail().message, field));
    CHECK(contains(error.detail().message, "not supported"));
    CHECK(contains(error.detail().where, field));
    CHECK(error.detail().file == "adapter_config.json");
    CHECK_NOTHROW(parse_adapter_config(with(field, nullptr), "f"));
    CHECK_NOTHROW(parse_adapter_config(with(field, false), "f"));
  }
}

TEST_CASE("an unknown field is refused unless it is empty") {
  const Error error = refusal(with("use_dorra", true));
  CHECK(contains(error.detail().message, "use_dorra"));
  CHECK(contains(error.detail().hint, "use_dora"));
  CHECK(contains(refusal(with("brand_new_config", Json{{"x", 1}})).detail().message, "unknown"));
  for (const Json& empty :
       {Json(nullptr), Json(false), Json(0), Json(""), Json::array(), Json::object()}) {
    CHECK_NOTHROW(parse_adapter_config(with("brand_new_config", empty), "f"));
  }
  CHECK_NOTHROW(parse_adapter_config(with("lora_dropout", 0.1), "f"));
  CHECK_NOTHROW(parse_adapter_config(with("eva_config", Json{{"rho", 2.0}}), "f"));
}

TEST_CASE("initialisations that change the base are refused with the way out") {
  for (const char* name :
       {"pissa", "PiSSA", "pissa_niter_16", "olora", "corda", "lora_ga", "loftq"}) {
    INFO(name);
    const Error error = refusal(with("init_lora_weights", name));
    CHECK(contains(error.detail().message, name));
    CHECK(contains(error.detail().hint, "path_initial_model_for_weight_conversion"));
  }
  for (const char* name : {"gaussian", "eva", "orthogonal", "mica"}) {
    CHECK_NOTHROW(parse_adapter_config(with("init_lora_weights", name), "f"));
  }
  CHECK(contains(refusal(with("init_lora_weights", "brand_new")).detail().message, "unknown"));
  CHECK(contains(refusal(with("init_lora_weights", 3)).detail().message, "wrong type"));
}

TEST_CASE("values of the wrong type or range name their field") {
  struct Row {
    const char* field;
    Json value;
    const char* message;
  };
  const std::vector<Row> rows = {{"r", 0, "positive"},
                                 {"r", -8, "positive"},
                                 {"r", 8.0, "positive"},
                                 {"r", "8", "positive"},
                                 {"r", 1 << 24, "positive"},
                                 {"r", 18446744073709551615ULL, "positive"},
                                 {"lora_alpha", "16", "finite number"},
                                 {"use_rslora", "yes", ""},
                                 {"use_dora", 1, ""},
                                 {"bias", "some", "unknown"},
                                 {"rank_pattern", Json::array({1}), "wrong type"},
                                 {"rank_pattern", Json{{"q_proj", 0}}, "positive"},
                                 {"alpha_pattern", Json{{"q_proj", "x"}}, "finite number"},
                                 {"alpha_pattern", Json{{"q_(proj", 1}}, "regular expression"},
                                 {"target_modules", nullptr, "null"},
                                 {"target_modules", 7, "wrong type"},
                                 {"target_modules", Json::array({"q_proj", 7}), "not a string"},
                                 {"target_modules", "q_(proj", "regular expression"},
                                 {"exclude_modules", Json{{"a", 1}}, "wrong type"},
                                 {"exclude_modules", "[", "regular expression"},
                                 {"layers_to_transform", "1", "not an integer"},
                                 {"layers_to_transform", Json::array({1.5}), "not an integer"},
                                 {"layers_pattern", 4, "wrong type"},
                                 {"layers_pattern", "layers", "layers_to_transform"},
                                 {"modules_to_save", "lm_head", "wrong type"},
                                 {"modules_to_save", Json::array({1}), "not a string"},
                                 {"peft_type", "IA3", "IA3"},
                                 {"peft_type", nullptr, "missing"},
                                 {"peft_type", 5, ""}};
  for (const auto& row : rows) {
    INFO(row.field << " = " << row.value.dump());
    const Error error = refusal(with(row.field, row.value));
    CHECK(error.kind() == ErrorKind::Input);
    CHECK(contains(error.detail().message + error.detail().found, row.message));
    CHECK(contains(error.detail().where, row.field));
  }
  CHECK(refusal(Json::array()).kind() == ErrorKind::Input);
}

TEST_CASE("combinations that PEFT refuses are refused") {
  Json layers = with("target_modules", ".*q_proj");
  layers["layers_to_transform"] = 1;
  CHECK(contains(refusal(layers).detail().where, "layers_to_transform"));
  Json pattern = with("target_modules", ".*q_proj");
  pattern["layers_pattern"] = "layers";
  CHECK(contains(refusal(pattern).detail().where, "layers_pattern"));
  Json dora = with("use_dora", true);
  dora["lora_bias"] = true;
  CHECK(contains(refusal(dora).detail().where, "lora_bias"));
}

TEST_CASE("folders without a readable adapter say what is missing") {
  const test::TempDir folder;
  CHECK(contains(error_of([&] { (void)adapter::read_adapter_config(folder.path() / "none"); })
                     .detail()
                     .message,
                 "does not exist"));
  CHECK(contains(
      error_of([&] { (void)adapter::read_adapter_config(folder.path()); }).detail().message,
      "adapter_config.json"));
  CHECK(contains(
      error_of([&] { (void)adapter::adapter_weights_file(folder.path()); }).detail().message,
      "no adapter weights"));
  folder.write("adapter_model.bin", "pickle");
  const Error pickle = error_of([&] { (void)adapter::adapter_weights_file(folder.path()); });
  CHECK(contains(pickle.detail().message, "pickle"));
  CHECK(contains(pickle.detail().hint, "save_file"));
  folder.write("adapter_model.safetensors", "x");
  CHECK(adapter::adapter_weights_file(folder.path()).filename() == "adapter_model.safetensors");
  folder.write("adapter_config.json", "{\"peft_type\": \"LORA\",");
  CHECK(error_of([&] { (void)adapter::read_adapter_config(folder.path()); }).kind() ==
        ErrorKind::Input);
}
