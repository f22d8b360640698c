// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/rope.h"

#include <ATen/ATen.h>

#include "loraproof/core/json.h"
#include "support/catch.h"

using namespace loraproof;

namespace {

nn::RopeConfig config_of(const Json& parameters, const Json& document) {
  nn::RopeConfig config;
  const std::string kind = parameters["rope_type"];
  config.kind = kind == "linear"    ? nn::RopeConfig::Kind::Linear
                : kind == "dynamic" ? nn::RopeConfig::Kind::Dynamic
                : kind == "yarn"    ? nn::RopeConfig::Kind::Yarn
                : kind == "llama3"  ? nn::RopeConfig::Kind::Llama3
                                    : nn::RopeConfig::Kind::Default;
  config.head_dim = document["head_dim"];
  config.max_positions = document["max_positions"];
  config.theta = parameters["rope_theta"];
  config.factor = parameters.value("factor", 1.0);
  config.original_max_positions = parameters.value("original_max_position_embeddings", 0);
  config.low_freq_factor = parameters.value("low_freq_factor", 1.0);
  config.high_freq_factor = parameters.value("high_freq_factor", 4.0);
  if (parameters.contains("mscale")) config.mscale = parameters["mscale"].get<double>();
  if (parameters.contains("mscale_all_dim"))
    config.mscale_all_dim = parameters["mscale_all_dim"].get<double>();
  config.beta_fast = parameters.value("beta_fast", 32.0);
  config.beta_slow = parameters.value("beta_slow", 1.0);
  config.truncate = parameters.value("truncate", true);
  return config;
}

}  // namespace

TEST_CASE("rope frequencies equal those of transformers for every supported kind and length") {
  const Json document = read_json_file(LORAPROOF_SOURCE_DIR "/golden/values/rope.json");
  int compared = 0;
  for (const auto& [name, expected] : document["values"].items()) {
    const auto dot = name.find('.');
    const nn::RopeConfig config = config_of(document["parameters"][name.substr(0, dot)], document);
    const auto found = nn::rope_frequencies(config, std::stoll(name.substr(dot + 1)));
    INFO(name);
    CHECK(found.attention_factor ==
          Approx(expected["attention_factor"].get<double>()).epsilon(1e-9));
    REQUIRE(found.inverse.numel() == static_cast<std::int64_t>(expected["inverse"].size()));
    for (std::int64_t i = 0; i < found.inverse.numel(); ++i) {
      // A few ulp of f32: transformers rounds the base to f32 at another place.
      CHECK(found.inverse[i].item<double>() ==
            Approx(expected["inverse"][static_cast<std::size_t>(i)].get<double>()).epsilon(1e-6));
      ++compared;
    }
  }
  CHECK(compared == 12 * 8);
}

TEST_CASE("a rope table gives each ragged sequence its own positions") {
  const nn::RopeConfig config{.head_dim = 4, .max_positions = 16};
  const auto table = nn::rope_table(config, {0, 5}, {2, 3}, at::kFloat);
  REQUIRE(table.cos.sizes() == at::IntArrayRef({5, 4}));
  const double positions[] = {0, 1, 5, 6, 7};
  for (std::int64_t row = 0; row < 5; ++row) {
    for (std::int64_t pair = 0; pair < 2; ++pair) {
      const double angle = positions[row] * std::pow(10000.0, -0.5 * static_cast<double>(pair));
      CHECK(table.cos[row][pair].item<double>() == Approx(std::cos(angle)).margin(1e-6));
      CHECK(table.sin[row][pair + 2].item<double>() == Approx(std::sin(angle)).margin(1e-6));
    }
  }
}

TEST_CASE("rotating keeps the length of every pair, and position 0 unchanged") {
  at::manual_seed(1);
  const at::Tensor x = at::randn({3, 2, 8});
  const auto table = nn::rope_table({.head_dim = 8, .max_positions = 16}, {0}, {3}, at::kFloat);
  const at::Tensor rotated = nn::apply_rope(x, table);
  CHECK(at::equal(rotated[0], x[0]));
  CHECK(at::allclose(rotated.norm(2, -1), x.norm(2, -1), 1e-5, 1e-6));
  CHECK_FALSE(at::allclose(rotated[2], x[2]));
}
