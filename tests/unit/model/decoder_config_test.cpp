// SPDX-License-Identifier: Apache-2.0
#include "loraproof/model/decoder_config.h"

#include "loraproof/core/json.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace loraproof;

namespace {

Json llama() {
  return {{"model_type", "llama"},    {"hidden_size", 64},        {"num_hidden_layers", 2},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"intermediate_size", 128},
          {"vocab_size", 100},        {"rms_norm_eps", 1e-5},     {"max_position_embeddings", 64},
          {"hidden_act", "silu"},     {"eos_token_id", 7}};
}

model::DecoderConfig read(const Json& config, const Json& generation = nullptr) {
  const test::TempDir folder;
  folder.write("config.json", config.dump());
  if (!generation.is_null()) folder.write("generation_config.json", generation.dump());
  return model::read_decoder_config(folder.path());
}

std::string refusal(const Json& change) {
  Json config = llama();
  config.update(change);
  try {
    (void)read(config);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    return error.detail().where + " " + error.what();
  }
  return "accepted";
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("rope is read the same from the fields of transformers 4 and 5") {
  Json v4 = llama(), v5 = llama();
  v4["rope_theta"] = 500000.0;
  v4["rope_scaling"] = {{"rope_type", "llama3"},
                        {"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 32}};
  v5["rope_parameters"] = v4["rope_scaling"];
  v5["rope_parameters"]["rope_theta"] = 500000.0;
  for (const Json& config : {v4, v5}) {
    const auto rope = read(config).rope;
    CHECK(rope.kind == nn::RopeConfig::Kind::Llama3);
    CHECK(rope.theta == 500000.0);
    CHECK(rope.factor == 8.0);
    CHECK(rope.original_max_positions == 32);
  }
  v4["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};  // the oldest spelling
  CHECK(read(v4).rope.kind == nn::RopeConfig::Kind::Linear);
}

TEST_CASE("sizes, defaults and eos ids") {
  const auto config = read(llama(), {{"eos_token_id", {3, 5}}});
  CHECK(config.head_dim == 16);
  CHECK(config.num_kv_heads == 2);
  CHECK(config.eos_ids == std::vector<std::int32_t>{3, 5});  // generation_config.json wins
  CHECK(read(llama()).eos_ids == std::vector<std::int32_t>{7});
  CHECK_FALSE(config.window[0]);
}

TEST_CASE("sliding windows of mistral and qwen2 as transformers reads them") {
  Json mistral = llama();
  mistral["model_type"] = "mistral";
  CHECK((read(mistral).window ==
         std::vector<std::optional<std::int64_t>>{4096, 4096}));  // the default
  mistral["sliding_window"] = nullptr;
  CHECK_FALSE(read(mistral).window[0]);
  Json qwen = llama();
  qwen["model_type"] = "qwen2";
  CHECK(read(qwen).qkv_bias);
  CHECK_FALSE(read(qwen).o_bias);
  CHECK_FALSE(read(qwen).window[1]);  // use_sliding_window is off
  qwen.update({{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 1}});
  CHECK((read(qwen).window == std::vector<std::optional<std::int64_t>>{std::nullopt, 8}));
}

TEST_CASE("a value that is not implemented is refused by name") {
  const std::vector<std::pair<Json, std::string>> cases = {
      {{{"hidden_act", "gelu"}}, "/hidden_act"},
      {{{"model_type", "gemma3"}}, "/model_type"},
      {{{"partial_rotary_factor", 0.5}}, "/partial_rotary_factor"},
      {{{"rope_scaling", {{"rope_type", "longrope"}}}}, "/rope_scaling/rope_type"},
      {{{"rope_scaling", {{"rope_type", "linear"}}}}, "/rope_scaling/factor"},
      {{{"rope_scaling", {{"rope_type", "linear"}, {"factor", -2.0}}}}, "/rope_scaling/factor"},
      {{{"rope_parameters", {{"rope_type", "default"}, {"mrope_section", {1, 2}}}}},
       "/rope_parameters/mrope_section"},
      {{{"quantization_config", {{"quant_method", "gptq"}}}}, "/quantization_config"},
      {{{"attn_logit_softcapping", 50.0}}, "/attn_logit_softcapping"},
      {{{"sliding_window", 128}}, "/sliding_window"},
      {{{"num_key_value_heads", 3}}, "/num_key_value_heads"},
      {{{"hidden_size", "64"}}, "/hidden_size"},
      {{{"hidden_size", -1}}, "/hidden_size"},
      {{{"vocab_size", 9223372036854775807}}, "/vocab_size"},
      {{{"num_hidden_layers", 1.5}}, "/num_hidden_layers"},
      {{{"head_dim", 15}}, "/head_dim"},
      {{{"eos_token_id", 100}}, "/eos_token_id"},
      {{{"eos_token_id", "x"}}, "/eos_token_id"},
  };
  for (const auto& [change, where] : cases) {
    INFO(change.dump());
    CHECK(holds(refusal(change), where));
  }
}

TEST_CASE("keys that change nothing are accepted") {
  Json config = llama();
  config.update({{"torch_dtype", "bfloat16"},
                 {"use_cache", true},
                 {"transformers_version", "4.44.0"},
                 {"attention_dropout", 0.1},
                 {"pad_token_id", 2},
                 {"some_flag_that_is_off", false},
                 {"nothing", nullptr}});
  CHECK_NOTHROW(read(config));
}

TEST_CASE("a missing config.json names the file") {
  const test::TempDir folder;
  try {
    (void)model::read_decoder_config(folder.path());
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(holds(error.what(), "config.json"));
  }
}
