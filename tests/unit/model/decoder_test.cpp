// SPDX-License-Identifier: Apache-2.0
#include "loraproof/model/decoder.h"

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace loraproof;

namespace {

const std::filesystem::path kFixtures = LORAPROOF_SOURCE_DIR "/tests/fixtures/adapters";

std::string refusal(const std::filesystem::path& config_folder,
                    const std::filesystem::path& weights_folder) {
  const auto config = model::read_decoder_config(config_folder);
  const auto base = io::Checkpoint::open(weights_folder);
  try {
    model::check_weights(config, base);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The fixture's weights with a changed config.
std::string with_config(const Json& change) {
  const test::TempDir folder;
  Json config = read_json_file(kFixtures / "base/config.json");
  config.update(change);
  folder.write("config.json", config.dump());
  return refusal(folder.path(), kFixtures / "base");
}

}  // namespace

TEST_CASE("weights must be those that config.json implies") {
  CHECK(refusal(kFixtures / "base", kFixtures / "base") == "accepted");
  CHECK(holds(with_config({{"num_hidden_layers", 3}}), "model.layers.2."));
  CHECK(holds(with_config({{"num_hidden_layers", 1}}), "does not use this tensor"));
  CHECK(holds(with_config({{"vocab_size", 49}}), "expected [49, 32], found [48, 32]"));
  CHECK(holds(with_config({{"num_key_value_heads", 4}}), "k_proj"));
  CHECK(holds(with_config({{"attention_bias", true}}), "q_proj.bias"));
  // The fixture with biases under a config without them: a bias left out would be silently wrong.
  CHECK(holds(refusal(kFixtures / "base", kFixtures / "base_bias"), "bias"));
}

TEST_CASE("a tied head is the embedding's tensor, an untied one has its own") {
  const auto tied = model::read_decoder_config(kFixtures / "base_tied");
  const auto tied_base = io::Checkpoint::open(kFixtures / "base_tied");
  CHECK(model::head_weight_name(tied, tied_base) == "model.embed_tokens.weight");
  CHECK(model::base_modules(tied, tied_base).at("lm_head").tied_to == "model.embed_tokens");
  const auto untied = model::read_decoder_config(kFixtures / "base");
  const auto base = io::Checkpoint::open(kFixtures / "base");
  CHECK(model::head_weight_name(untied, base) == "lm_head.weight");
  CHECK(model::base_modules(untied, base).at("lm_head").tied_to.empty());
}

TEST_CASE("base modules list every linear, the embedding, the norms and the head") {
  const auto config = model::read_decoder_config(kFixtures / "base");
  const auto modules = model::base_modules(config, io::Checkpoint::open(kFixtures / "base"));
  CHECK(modules.size() == 2 * (7 + 2) + 3);
  const auto& down = modules.at("model.layers.1.mlp.down_proj");
  CHECK(down.out == 32);
  CHECK(down.in == 40);
  CHECK(modules.at("lm_head").is_output_head);
}
