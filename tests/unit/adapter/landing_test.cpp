// SPDX-License-Identifier: Apache-2.0
// Truth: golden/values/adapter_landing.json, what PEFT wraps and loads from the same files
// (tests/oracles/adapter_oracle.py).
#include "loraproof/adapter/landing.h"

#include <ATen/ATen.h>
#include <set>
#include <string>

#include "loraproof/core/json.h"
#include "support/catch.h"
#include "unit/adapter/support.h"

using namespace loraproof;

namespace {

adapter::Landing land_fixture(const std::string& name, const std::string& base) {
  const auto folder = test::fixture(name);
  const auto config = adapter::read_adapter_config(folder);
  const io::SafetensorsFile file(adapter::adapter_weights_file(folder));
  return adapter::land(config, file, test::base_modules(base));
}

bool lists(const Json& parts_by_module, const std::string& path, const std::string& part) {
  if (!parts_by_module.contains(path)) return false;
  for (const auto& entry : parts_by_module.at(path)) {
    if (entry.get<std::string>() == part) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("every adapter that PEFT saved lands without a finding") {
  for (const auto& [name, value] : test::landing_values().at("cases").items()) {
    INFO(name);
    const auto landing = land_fixture(name, value.at("base").get<std::string>());
    INFO(test::text_of(landing.findings));
    CHECK(landing.findings.empty());
    CHECK_FALSE(landing.failed());
    CHECK(landing.tensors == value.at("tensors").get<std::int64_t>());
    CHECK(landing.landed == landing.tensors);
    CHECK(landing.targets == static_cast<std::int64_t>(value.at("lora").size()));
  }
}

TEST_CASE("the wrapped modules, ranks, scales and deltas are PEFT's") {
  for (const auto& [name, value] : test::landing_values().at("cases").items()) {
    const auto landing = land_fixture(name, value.at("base").get<std::string>());
    std::set<std::string> wrapped, expected;
    for (const auto& [path, patch] : landing.patches) {
      if (patch.has_lora()) wrapped.insert(path);
    }
    for (const auto& [path, entry] : value.at("lora").items()) {
      INFO(name << " " << path);
      expected.insert(path);
      REQUIRE(landing.patches.contains(path));
      const auto& patch = landing.patches.at(path);
      REQUIRE(patch.has_lora());
      CHECK(patch.lora_a.size(0) == entry.at("r").get<std::int64_t>());
      CHECK(patch.lora_a.scalar_type() == at::kFloat);
      CHECK(patch.lora_b.scalar_type() == at::kFloat);
      CHECK(patch.scale == entry.at("scale").get<double>());
      CHECK(patch.lora_bias.defined() == entry.at("lora_bias").get<bool>());
      CHECK(patch.magnitude.defined() == entry.at("dora").get<bool>());
    }
    INFO(name);
    CHECK(wrapped == expected);
  }
}

TEST_CASE("whole weights and biases reach the modules that PEFT changes") {
  for (const auto& [name, value] : test::landing_values().at("cases").items()) {
    const auto base = value.at("base").get<std::string>();
    const auto landing = land_fixture(name, base);
    for (const auto& [path, module] : test::base_modules(base)) {
      INFO(name << " " << path);
      const auto found = landing.patches.find(path);
      const adapter::ModulePatch patch =
          found == landing.patches.end() ? adapter::ModulePatch{} : found->second;
      const bool saved_weight = lists(value.at("saved"), path, "weight");
      const bool replaced_weight = lists(value.at("replaced"), path, "weight");
      // An untrained base_layer.weight in the file equals the base and may or may not be patched
      // in.
      if (saved_weight || replaced_weight) CHECK(patch.weight.defined());
      // (With a tied base it also reaches the twin of the module it was saved under.)
      if (patch.weight.defined() && !patch.has_lora() && base != "base_tied") {
        CHECK((saved_weight || replaced_weight));
      }
      CHECK(patch.bias.defined() ==
            (lists(value.at("saved"), path, "bias") || lists(value.at("replaced"), path, "bias")));
    }
  }
}

TEST_CASE("a weight replaced in a tied embedding reaches the tied head") {
  const auto landing = land_fixture("tied_embedding", "base_tied");
  REQUIRE(landing.patches.contains("lm_head"));
  const auto& head = landing.patches.at("lm_head");
  CHECK_FALSE(head.has_lora());
  REQUIRE(head.weight.defined());
  CHECK(head.weight.is_same(landing.patches.at("model.embed_tokens").weight));
  // modules_to_save makes copies, so nothing is shared there.
  const auto saved = land_fixture("tied_modules_to_save", "base_tied");
  CHECK_FALSE(
      saved.patches.at("lm_head").weight.equal(saved.patches.at("model.embed_tokens").weight));
}

TEST_CASE("patches outlive the file and keep its numbers") {
  adapter::PatchSet patches;
  {
    const io::SafetensorsFile file(test::fixture("bf16") / "adapter_model.safetensors");
    const auto config = adapter::read_adapter_config(test::fixture("bf16"));
    patches = adapter::land(config, file, test::base_modules("base")).patches;
  }
  const auto& patch = patches.at("model.layers.0.self_attn.q_proj");
  CHECK(patch.lora_a.isfinite().all().item<bool>());
  CHECK(patch.lora_a.equal(patch.lora_a.to(at::kBFloat16).to(at::kFloat)));
}
