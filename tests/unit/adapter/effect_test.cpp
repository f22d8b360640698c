// SPDX-License-Identifier: Apache-2.0
// Truth: f64 values in golden/values/adapter_landing.json from PEFT's loaded adapters, and hand
// values.
#include "loraproof/adapter/effect.h"

#include <ATen/ATen.h>
#include <cmath>
#include <map>
#include <string>

#include "loraproof/adapter/landing.h"
#include "loraproof/core/json.h"
#include "loraproof/tensor/from_view.h"
#include "support/catch.h"
#include "unit/adapter/support.h"

using namespace loraproof;
using adapter::BaseModule;
using adapter::EffectSums;
using adapter::ModulePatch;

namespace {

struct Loaded {
  io::SafetensorsFile base;
  adapter::Landing landing;
  adapter::BaseModules modules;

  explicit Loaded(const std::string& name)
      : base(test::fixture(
                 test::landing_values().at("cases").at(name).at("base").get<std::string>()) /
             "model.safetensors"),
        modules(test::base_modules(
            test::landing_values().at("cases").at(name).at("base").get<std::string>())) {
    const auto config = adapter::read_adapter_config(test::fixture(name));
    const io::SafetensorsFile file(test::fixture(name) / "adapter_model.safetensors");
    landing = adapter::land(config, file, modules);
  }

  at::Tensor weight(const std::string& path) const {
    const auto* view = base.find(path + ".weight");
    if (view == nullptr) view = base.find(modules.at(path).tied_to + ".weight");
    return tensor::tensor_of(*view);
  }
};

ModulePatch patch_of(const at::Tensor& a, const at::Tensor& b, double scale) {
  ModulePatch patch;
  patch.lora_a = a;
  patch.lora_b = b;
  patch.scale = scale;
  return patch;
}

}  // namespace

TEST_CASE("hand values of delta, inner product and ratio") {
  const at::Tensor a = at::tensor({1.0f, 2.0f}).reshape({1, 2});
  const at::Tensor b = at::tensor({3.0f, 0.0f, 4.0f}).reshape({3, 1});
  const ModulePatch patch = patch_of(a, b, 2.0);  // D = 2 [3 6; 0 0; 4 8], ‖D‖ = 2·5·√5
  const at::Tensor weight = at::ones({3, 2});
  const auto effect = adapter::measure_effect(patch, weight, BaseModule::Kind::Linear);
  CHECK(effect.weight_norm2 == Approx(6.0));
  CHECK(effect.inner == Approx(42.0));
  CHECK(effect.delta_norm2 == Approx(500.0));
  CHECK(effect.ratio() == Approx(std::sqrt(500.0 / 6.0)));
  CHECK(effect.chance2 == Approx(500.0));
}

TEST_CASE("norms and inner products are those of the dense f64 delta, DoRA included") {
  int dora = 0;
  for (const auto& [name, value] : test::landing_values().at("cases").items()) {
    const Loaded loaded(name);
    for (const auto& [path, entry] : value.at("lora").items()) {
      INFO(name << " " << path);
      const auto& patch = loaded.landing.patches.at(path);
      const auto kind = loaded.modules.at(path).kind;
      const auto effect = adapter::measure_effect(patch, loaded.weight(path), kind);
      CHECK(std::sqrt(effect.weight_norm2) ==
            Approx(entry.at("weight_norm").get<double>()).epsilon(1e-12));
      CHECK(std::sqrt(effect.delta_norm2) ==
            Approx(entry.at("delta_norm").get<double>()).epsilon(1e-12));
      CHECK(effect.inner == Approx(entry.at("inner").get<double>()).epsilon(1e-9).margin(1e-12));
      CHECK(std::sqrt(effect.effective_norm2) ==
            Approx(entry.at("effective_norm").get<double>()).epsilon(1e-9));
      // PEFT's own merge in f64 changes the weight by as much.
      const Json& merged = value.at("merged_change");
      if (merged.contains(path) && !patch.weight.defined()) {
        CHECK(std::sqrt(effect.effective_norm2) ==
              Approx(merged.at(path).get<double>()).epsilon(1e-6));
      }
      dora += entry.at("dora").get<bool>() ? 1 : 0;
    }
  }
  CHECK(dora > 10);
}

TEST_CASE("row blocks do not change the sums") {
  const at::Tensor a = at::randn({2, 100000});
  const at::Tensor b = at::randn({120, 2});
  const at::Tensor weight = at::randn({120, 100000});  // 96 MB in f64: three blocks
  const auto effect =
      adapter::measure_effect(patch_of(a, b, 0.5), weight, BaseModule::Kind::Linear);
  const at::Tensor delta = b.to(at::kDouble).matmul(a.to(at::kDouble)) * 0.5;
  const at::Tensor wide = weight.to(at::kDouble);
  CHECK(effect.inner == Approx((wide * delta).sum().item<double>()).epsilon(1e-9));
  CHECK(effect.weight_norm2 == Approx((wide * wide).sum().item<double>()).epsilon(1e-12));
}

TEST_CASE("several adapters on one module are measured as if each were alone") {
  const at::Tensor weight = at::randn({70, 40}).to(at::kBFloat16);
  const at::Tensor wide = weight.to(at::kDouble);
  std::vector<ModulePatch> patches;
  for (const std::int64_t rank : {3, 300, 1, 250})  // more ranks than are multiplied together
    patches.push_back(patch_of(at::randn({rank, 40}), at::randn({70, rank}), 0.5));
  patches[2].magnitude = at::rand({70}) + 0.5;
  std::vector<const ModulePatch*> pointers;
  for (const ModulePatch& patch : patches) pointers.push_back(&patch);
  const auto effects = adapter::measure_effects(pointers, weight, BaseModule::Kind::Linear);
  REQUIRE(effects.size() == patches.size());
  for (std::size_t i = 0; i < patches.size(); ++i) {
    INFO(i);
    const at::Tensor delta =
        0.5 * patches[i].lora_b.to(at::kDouble).matmul(patches[i].lora_a.to(at::kDouble));
    at::Tensor change = delta;
    if (patches[i].magnitude.defined()) {
      const at::Tensor moved = wide + delta;
      const at::Tensor gain = patches[i].magnitude.to(at::kDouble) / (moved * moved).sum(1).sqrt();
      change = moved * gain.unsqueeze(1) - wide;
    }
    const auto sum = [](const at::Tensor& tensor) { return tensor.sum().item<double>(); };
    CHECK(effects[i].weight_norm2 == Approx(sum(wide * wide)).epsilon(1e-12));
    CHECK(effects[i].delta_norm2 == Approx(sum(delta * delta)).epsilon(1e-9));
    CHECK(effects[i].inner == Approx(sum(wide * delta)).epsilon(1e-9).margin(1e-9));
    CHECK(effects[i].effective_norm2 == Approx(sum(change * change)).epsilon(1e-9));
  }
}

TEST_CASE("the merged coefficient is near 0 on the base and near 1 on the merged base") {
  const Loaded loaded("all_linear");
  EffectSums clean, merged;
  for (const auto& [path, patch] : loaded.landing.patches) {
    const at::Tensor weight = loaded.weight(path);
    const at::Tensor delta = patch.lora_b.matmul(patch.lora_a) * patch.scale;
    clean.add(path, patch, weight, BaseModule::Kind::Linear);
    merged.add(path, patch, (weight + delta).to(at::kBFloat16), BaseModule::Kind::Linear);
  }
  CHECK(clean.modules().size() == 14);
  const double sigma = clean.merged_coefficient_sigma();
  CHECK(sigma > 0.0);
  CHECK(sigma < 0.1);
  CHECK(std::abs(clean.merged_coefficient()) < 4.0 * sigma);
  CHECK(std::abs(merged.merged_coefficient() - 1.0) < 4.0 * sigma + 0.01);
}

TEST_CASE("a replaced weight has no delta, and no modules have no coefficient") {
  const Loaded loaded("embedding");
  EffectSums sums;
  const auto& embedding = loaded.landing.patches.at("model.embed_tokens");
  REQUIRE(embedding.weight.defined());
  sums.add("model.embed_tokens", embedding, loaded.weight("model.embed_tokens"),
           BaseModule::Kind::Embedding);
  sums.add("none", ModulePatch{}, at::ones({2, 2}), BaseModule::Kind::Linear);
  CHECK(sums.modules().empty());
  CHECK(std::isnan(sums.merged_coefficient()));
  CHECK(std::isnan(sums.merged_coefficient_sigma()));
}

TEST_CASE("the scale's summary has the median, the largest module and the other convention") {
  const at::Tensor weight = at::ones({4, 4});
  adapter::PatchSet patches;
  EffectSums sums;
  const std::map<std::string, double> scales = {{"a", 0.01}, {"b", 0.9}, {"c", 0.02}, {"d", 0.1}};
  for (const auto& [name, scale] : scales) {
    patches[name] = patch_of(at::ones({4, 4}), at::ones({4, 4}), scale);  // ‖D‖/‖W‖ = 4·scale
    sums.add(name, patches.at(name), weight, BaseModule::Kind::Linear);
  }
  const auto plain = adapter::summarise_scale(sums, patches, false);
  CHECK(plain.modules == 4);
  CHECK(plain.median_ratio == Approx(0.24));  // between 0.08 and 0.4
  CHECK(plain.max_ratio == Approx(3.6));
  CHECK(plain.max_module == "b");
  CHECK(plain.other_median_ratio == Approx(0.48));  // times the square root of the rank
  CHECK(adapter::summarise_scale(sums, patches, true).other_median_ratio == Approx(0.12));
}
