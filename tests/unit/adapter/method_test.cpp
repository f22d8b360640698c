// SPDX-License-Identifier: Apache-2.0
// Configurations, keys and shapes of the methods other than LoRA; the figures are those of peft
// 0.21.2's own functions.
#include <map>
#include <string>
#include <vector>

#include "loraproof/adapter/config.h"
#include "loraproof/adapter/digest.h"
#include "loraproof/adapter/method_keys.h"
#include "loraproof/adapter/method_shapes.h"
#include "loraproof/adapter/target_match.h"
#include "loraproof/core/json.h"
#include "support/catch.h"
#include "support/errors.h"

namespace loraproof::adapter {
namespace {

using Shape = std::vector<std::int64_t>;
using Shapes = std::map<MethodPart, Shape>;  // compared in double parentheses: no part prints

Json fields(const char* type, const Json& more = Json::object()) {
  Json config = {{"peft_type", type}, {"target_modules", Json::array({"q_proj", "down_proj"})}};
  if (std::string_view(type) == "IA3") config["feedforward_modules"] = Json::array({"down_proj"});
  if (std::string_view(type) == "OFT") {
    config["oft_block_size"] = 8;
    config["use_cayley_neumann"] = false;
  }
  config.update(more);
  return config;
}

AdapterConfig parsed(const char* type, const Json& more = Json::object()) {
  return parse_adapter_config(fields(type, more), "config", Use::Merge);
}

Shapes shapes(const AdapterConfig& config, const BaseModule& module, std::int64_t rank,
              bool feedforward = false) {
  const ExpectedTensors expected = expected_tensors(config, module, rank, feedforward);
  CHECK(expected.problem.empty());
  return {expected.shapes.begin(), expected.shapes.end()};
}

std::string problem(const AdapterConfig& config, const BaseModule& module) {
  return expected_tensors(config, module, 4, false).problem;
}

const BaseModule kLinear = {.out = 72, .in = 48};

}  // namespace

TEST_CASE("a merge reads the configurations of all methods, a forward those of LoRA") {
  for (const char* type : {"IA3", "LOHA", "LOKR", "VERA", "OFT", "BOFT"}) {
    INFO(type);
    CHECK(name_of(parsed(type).method) == type);
    const ErrorDetail error =
        test::input_error_of([&] { (void)parse_adapter_config(fields(type), "config"); });
    CHECK(error.hint.find("merge it first") != std::string::npos);
  }
}

TEST_CASE("fields of one method are no fields of another") {
  const std::map<std::string, Json> of_one = {
      {"IA3", {{"alpha", 4}}},           {"LOHA", {{"decompose_factor", 4}}},
      {"LOKR", {{"lora_alpha", 4}}},     {"VERA", {{"rank_pattern", {{"q", 4}}}}},
      {"OFT", {{"boft_block_size", 4}}}, {"BOFT", {{"coft", true}}}};
  for (const auto& [type, more] : of_one) {
    INFO(type);
    const std::string message = test::input_error_of([&, &type = type, &more = more] {
                                  (void)parsed(type.c_str(), more);
                                }).message;
    CHECK(message.find("is none of " + type + "'s") != std::string::npos);
  }
  CHECK_NOTHROW(parsed("IA3", {{"alpha", nullptr}, {"new_feature", false}}));
}

TEST_CASE("values that change what is computed are checked") {
  struct Row {
    const char* type;
    Json more;
    const char* where;
  };
  const std::vector<Row> rows = {
      {"IA3", {{"feedforward_modules", nullptr}}, "feedforward_modules"},
      {"IA3", {{"feedforward_modules", Json::array({"o_proj"})}}, "feedforward_modules"},
      {"IA3", {{"feedforward_modules", "(["}}, "feedforward_modules"},
      {"LOHA", {{"r", 0}}, "/r"},
      {"LOHA", {{"alpha", "x"}}, "alpha"},
      {"LOKR", {{"decompose_factor", -2}}, "decompose_factor"},
      {"LOKR", {{"decompose_both", 1}}, "decompose_both"},
      {"VERA", {{"save_projection", false}}, "save_projection"},
      {"VERA", {{"bias", "lora_only"}}, "bias"},
      {"OFT", {{"oft_block_size", nullptr}}, "oft_block_size"},
      {"OFT", {{"oft_block_size", 0}}, "/r"},
      {"OFT", {{"r", 2}}, "/r"},
      {"OFT", {{"use_cayley_neumann", true}}, "use_cayley_neumann"},
      {"OFT", {{"use_cayley_neumann", true}, {"peft_version", "0.17.9"}}, "use_cayley_neumann"},
      {"OFT", {{"use_cayley_neumann", true}, {"peft_version", "x"}}, "use_cayley_neumann"},
      {"OFT", {{"num_cayley_neumann_terms", 65}}, "num_cayley_neumann_terms"},
      {"OFT", {{"coft", true}, {"eps", -1}}, "eps"},
      {"BOFT", {{"boft_block_num", 2}}, "boft_block_size"},
      {"BOFT", {{"boft_n_butterfly_factor", 0}}, "boft_n_butterfly_factor"}};
  for (const Row& row : rows) {
    INFO(row.type << " " << row.more.dump());
    const ErrorDetail error = test::input_error_of([&] { (void)parsed(row.type, row.more); });
    CHECK(error.where.find(row.where) != std::string::npos);
  }
  CHECK(*parsed("OFT", {{"use_cayley_neumann", true}, {"peft_version", "0.18.0.rc0"}})
             .settings.neumann_terms == 5);
  CHECK(*parsed("OFT", {{"use_cayley_neumann", true}, {"peft_version", "1.0.0@abc"}})
             .settings.neumann_terms == 5);
  CHECK(parsed("OFT", {{"bias", "oft_only"}}).bias == BiasMode::LoraOnly);
}

TEST_CASE("the scale is alpha / r of LoHa and LoKr, and none of the others") {
  const AdapterConfig loha =
      parsed("LOHA", {{"r", 4}, {"alpha", 6}, {"alpha_pattern", {{"q_proj", 2}}}});
  CHECK(TargetMatcher(loha).scale_of("a.down_proj") == 1.5);
  CHECK(TargetMatcher(loha).scale_of("a.q_proj") == 0.5);
  CHECK(TargetMatcher(parsed("LOKR")).scale_of("a") == 1);
  const AdapterConfig vera = parsed("VERA");
  CHECK(vera.r == 256);
  CHECK(TargetMatcher(vera).scale_of("a") == 1);
  CHECK(TargetMatcher(parsed("OFT", {{"r", 3}, {"oft_block_size", 0}})).scale_of("a") == 1);
}

TEST_CASE("feedforward modules are chosen as PEFT does: by the end of the path, or a whole match") {
  const AdapterConfig names = parsed("IA3"),
                      pattern = parsed("IA3", {{"feedforward_modules", ".*mlp.*"}});
  CHECK(TargetMatcher(names).is_feedforward("a.mlp.down_proj"));
  CHECK(TargetMatcher(names).is_feedforward("a.mlp.undown_proj"));
  CHECK_FALSE(TargetMatcher(names).is_feedforward("a.q_proj"));
  CHECK(TargetMatcher(pattern).is_feedforward("a.mlp.down_proj"));
  CHECK_FALSE(TargetMatcher(pattern).is_feedforward("a.q_proj"));
}

TEST_CASE("the digest of an adapter has what its method is") {
  CHECK(meaning_fields(parsed("OFT")) != meaning_fields(parsed("OFT", {{"oft_block_size", 4}})));
  CHECK(meaning_fields(parsed("OFT", {{"coft", true}})) !=
        meaning_fields(parsed("OFT", {{"coft", true}, {"eps", 1}})));
  CHECK(meaning_fields(parsed("LOHA")) != meaning_fields(parsed("LOKR")));
  CHECK(meaning_fields(parsed("IA3")) !=
        meaning_fields(parsed("IA3", {{"feedforward_modules", Json::array()}})));
}

TEST_CASE("keys of a method are taken apart, and put together again") {
  const auto key = parse_method_key("base_model.model.a.q_proj.lokr_w1_a", Method::Lokr);
  REQUIRE(key);
  CHECK(key->module == "a.q_proj");
  CHECK((key->part == MethodPart::LokrW1A));
  CHECK(method_key("a.q_proj", MethodPart::LokrW1A) == "base_model.model.a.q_proj.lokr_w1_a");
  CHECK(parse_method_key("base_model.vera_B", Method::Vera)->module.empty());
  CHECK(method_key("", MethodPart::VeraB) == "base_model.vera_B");
  CHECK(
      (parse_method_key("base_model.model.a.oft_R.weight", Method::Oft)->part == MethodPart::OftR));
  for (const char* other : {"a.q_proj.lokr_w1", "base_model.model.a.lokr_w1.default",
                            "base_model.model.a.hada_w1_a", "base_model.lokr_w1"}) {
    INFO(other);
    CHECK_FALSE(parse_method_key(other, Method::Lokr));
  }
  CHECK_FALSE(parse_method_key("base_model.model.a.vera_B", Method::Vera));
}

TEST_CASE("numbers are cut into factors as in PEFT") {
  using Pair = std::pair<std::int64_t, std::int64_t>;
  CHECK(two_factors(48, -1) == Pair{6, 8});
  CHECK(two_factors(127, -1) == Pair{1, 127});
  CHECK(two_factors(128, 4) == Pair{4, 32});
  CHECK(two_factors(2048, -1) == Pair{32, 64});
  CHECK(two_factors(72, 5) == Pair{4, 18});
  CHECK(two_factors(100, 7) == Pair{5, 20});
  CHECK(two_factors(12, 0) == Pair{1, 12});
  CHECK(two_factors(64, 100) == Pair{8, 8});
  CHECK(nearest_divisor(48, 7) == 6);
  CHECK(nearest_divisor(48, 8) == 8);
  CHECK(nearest_divisor(50, 60) == 50);
  CHECK(nearest_divisor(100, 30) == 25);
  CHECK(nearest_divisor(97, 10) == 1);
  CHECK(nearest_divisor(1536, 1000) == 768);
}

TEST_CASE("each method has its tensors for a layer") {
  using enum MethodPart;
  CHECK((shapes(parsed("IA3"), kLinear, 8) == Shapes{{Ia3L, {72, 1}}}));
  CHECK((shapes(parsed("IA3"), kLinear, 8, true) == Shapes{{Ia3L, {1, 48}}}));
  CHECK((shapes(parsed("LOHA"), kLinear, 3) ==
         Shapes{{HadaW1A, {72, 3}}, {HadaW1B, {3, 48}}, {HadaW2A, {72, 3}}, {HadaW2B, {3, 48}}}));
  CHECK((shapes(parsed("LOKR"), kLinear, 5) == Shapes{{LokrW1, {8, 6}}, {LokrW2, {9, 8}}}));
  CHECK((shapes(parsed("LOKR", {{"decompose_both", true}}), kLinear, 3) ==
         Shapes{{LokrW1A, {8, 3}}, {LokrW1B, {3, 6}}, {LokrW2A, {9, 3}}, {LokrW2B, {3, 8}}}));
  CHECK((shapes(parsed("VERA"), kLinear, 7) == Shapes{{VeraLambdaB, {72}}, {VeraLambdaD, {7}}}));
  CHECK((shapes(parsed("OFT"), kLinear, 8) == Shapes{{OftR, {6, 28}}}));
  CHECK((shapes(parsed("OFT", {{"r", 5}, {"oft_block_size", 0}, {"block_share", true}}), kLinear,
                8) == Shapes{{OftR, {1, 66}}}));
  CHECK((shapes(parsed("BOFT", {{"boft_n_butterfly_factor", 3}}), kLinear, 8) ==
         Shapes{{BoftR, {3, 12, 4, 4}}, {BoftS, {72, 1}}}));
}

TEST_CASE("convolutions have their kernel in one factor, or in one of its own") {
  using enum MethodPart;
  const BaseModule conv = {.kind = BaseModule::Kind::Conv, .out = 8, .in = 6, .kernel = {3, 3}};
  CHECK(shapes(parsed("LOHA"), conv, 2).at(HadaW1B) == Shape{2, 54});
  CHECK(shapes(parsed("LOHA", {{"use_effective_conv2d", true}}), conv, 2).at(HadaT2) ==
        Shape{2, 2, 3, 3});
  CHECK(shapes(parsed("LOKR"), conv, 2).at(LokrW2) == Shape{4, 3, 3, 3});
  CHECK(shapes(parsed("LOKR"), conv, 1).at(LokrW2B) == Shape{1, 27});
  CHECK(shapes(parsed("LOKR", {{"use_effective_conv2d", true}}), conv, 1).at(LokrT2) ==
        Shape{1, 1, 3, 3});
  CHECK(shapes(parsed("LOHA", {{"use_effective_conv2d", true}}),
               {.kind = BaseModule::Kind::Conv, .out = 8, .in = 6, .kernel = {1}}, 2)
            .size() == 4);
}

TEST_CASE("layers that a method can't adapt are named") {
  const BaseModule embedding = {.kind = BaseModule::Kind::Embedding, .out = 96, .in = 48};
  const BaseModule conv = {.kind = BaseModule::Kind::Conv, .out = 8, .in = 6, .kernel = {3}};
  BaseModule turned = kLinear;
  turned.transposed = true;
  for (const char* type : {"IA3", "LOHA", "LOKR", "VERA", "BOFT"})
    CHECK_FALSE(problem(parsed(type), embedding).empty());
  CHECK(problem(parsed("OFT"), embedding).empty());
  for (const char* type : {"IA3", "VERA", "OFT", "BOFT"})
    CHECK_FALSE(problem(parsed(type), conv).empty());
  for (const char* type : {"LOHA", "LOKR", "OFT", "BOFT"})
    CHECK_FALSE(problem(parsed(type), turned).empty());
  CHECK(problem(parsed("IA3"), turned).empty());
  CHECK_FALSE(problem(parsed("LOKR"), conv).empty());
  CHECK_FALSE(problem(parsed("BOFT", {{"boft_block_size", 5}}), kLinear).empty());
  CHECK_FALSE(
      problem(parsed("BOFT", {{"boft_block_size", 16}, {"boft_n_butterfly_factor", 2}}), kLinear)
          .empty());
  CHECK_FALSE(
      problem(parsed("BOFT", {{"boft_block_size", 3}, {"boft_n_butterfly_factor", 2}}), kLinear)
          .empty());
}

TEST_CASE("boft_R may have one factor of any number, as PEFT makes it without its extension") {
  CHECK(fits(MethodPart::BoftR, {3, 12, 4, 4}, {1, 12, 4, 4}));
  CHECK_FALSE(fits(MethodPart::BoftR, {3, 12, 4, 4}, {2, 12, 4, 4}));
  CHECK_FALSE(fits(MethodPart::BoftR, {1, 12, 4, 4}, {3, 12, 4, 4}));
  CHECK_FALSE(fits(MethodPart::OftR, {3, 6}, {1, 6}));
}

}  // namespace loraproof::adapter
