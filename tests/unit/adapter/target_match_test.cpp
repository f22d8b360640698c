// SPDX-License-Identifier: Apache-2.0
// Truth: golden/values/adapter_targets.json, made by PEFT's own functions
// (tests/oracles/adapter_targets_oracle.py).
#include "loraproof/adapter/target_match.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "loraproof/core/json.h"
#include "support/catch.h"
#include "unit/adapter/support.h"

using namespace loraproof;
using adapter::TargetMatcher;
using adapter::TargetVerdict;

namespace {

Json lora(Json fields) {
  fields["peft_type"] = "LORA";
  if (!fields.contains("target_modules")) fields["target_modules"] = Json::array();
  return fields;
}

std::set<std::string> names(const Json& list) {
  std::set<std::string> result;
  for (const auto& name : list) result.insert(name.get<std::string>());
  return result;
}

}  // namespace

TEST_CASE("targets and exclusions are those of PEFT for every configuration") {
  const Json& values = test::target_values();
  int accepted = 0;
  for (const auto& item : values.at("cases")) {
    if (item.contains("error")) continue;
    ++accepted;
    INFO(item.at("config").dump());
    const auto config = adapter::parse_adapter_config(lora(item.at("config")), "f");
    const TargetMatcher matcher(config);
    std::set<std::string> targeted, excluded;
    for (const auto& name : values.at("names")) {
      const auto path = name.get<std::string>();
      const TargetVerdict verdict = matcher.verdict(path, nullptr);
      if (verdict == TargetVerdict::Targeted) targeted.insert(path);
      if (verdict == TargetVerdict::Excluded) excluded.insert(path);
    }
    CHECK(targeted == names(item.at("targeted")));
    CHECK(excluded == names(item.at("excluded")));
  }
  CHECK(accepted >= 60);
}

TEST_CASE("patterns that Python's re refuses are refused") {
  int refused = 0;
  for (const auto& item : test::target_values().at("cases")) {
    if (!item.contains("error")) continue;
    ++refused;
    INFO(item.at("config").dump() << ": Python says " << item.at("error").get<std::string>());
    CHECK_THROWS_AS(adapter::parse_adapter_config(lora(item.at("config")), "f"), Error);
  }
  CHECK(refused >= 15);
}

TEST_CASE("the key of a rank or alpha pattern is the one that get_pattern_key picks") {
  for (const auto& item : test::target_values().at("patterns")) {
    INFO(item.at("keys").dump());
    Json fields;
    int next = 100;
    for (const auto& key : item.at("keys")) {
      fields["rank_pattern"][key.get<std::string>()] = next;
      fields["alpha_pattern"][key.get<std::string>()] = next++;
    }
    const auto config = adapter::parse_adapter_config(lora(fields), "f");
    const TargetMatcher matcher(config);
    for (const auto& name : test::target_values().at("names")) {
      const auto path = name.get<std::string>();
      INFO(path);
      const auto key = matcher.rank_key_of(path);
      const Json& hits = item.at("hits");
      CHECK(key.has_value() == hits.contains(path));
      CHECK(matcher.alpha_key_of(path) == key);
      if (!key || !hits.contains(path)) continue;
      CHECK(config.rank_pattern[*key].first == hits.at(path).get<std::string>());
      CHECK(matcher.rank_of(path) == config.rank_pattern[*key].second);
      CHECK(matcher.scale_of(path) == 1.0);
    }
  }
}

TEST_CASE("scales are alpha/r and alpha/sqrt(r) in double") {
  Json fields{{"target_modules", Json::array({"q_proj"})}, {"r", 3}, {"lora_alpha", 5}};
  const auto plain = adapter::parse_adapter_config(lora(fields), "f");
  CHECK(TargetMatcher(plain).scale_of("q_proj") == 5.0 / 3.0);
  fields["use_rslora"] = true;
  const auto rslora = adapter::parse_adapter_config(lora(fields), "f");
  CHECK(TargetMatcher(rslora).scale_of("q_proj") == 5.0 / std::sqrt(3.0));
}

TEST_CASE("all-linear takes linear layers but not the output head") {
  const auto config = adapter::parse_adapter_config(lora({{"target_modules", "all-linear"}}), "f");
  const TargetMatcher matcher(config);
  int hits = 0;
  for (const auto& [path, module] : test::base_modules("base")) {
    const bool hit = matcher.verdict(path, &module) == TargetVerdict::Targeted;
    hits += hit ? 1 : 0;
    CHECK(hit == (path.ends_with("_proj")));
  }
  CHECK(hits == 14);
}
