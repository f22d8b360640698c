// SPDX-License-Identifier: Apache-2.0
// Faults put into adapters that PEFT saved: each is found under its own id.
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "loraproof/adapter/landing.h"
#include "loraproof/core/json.h"
#include "support/catch.h"
#include "unit/adapter/support.h"

using namespace loraproof;
using test::EditableAdapter;
using test::find;
using test::key;
using test::text_of;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string kQ0 = "model.layers.0.self_attn.q_proj";

}  // namespace

TEST_CASE("zero B in one module is found by effect, not by landing") {
  EditableAdapter adapter("plain");
  auto& b = adapter.at(key(kQ0 + ".lora_B.weight"));
  std::memset(b.bytes.data(), 0, b.bytes.size());
  const auto landing = adapter.land();
  CHECK_FALSE(landing.failed());
  const auto findings = landing.zero_effect;
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].id == "effect.zero_module");
  CHECK(findings[0].subject == kQ0);
  CHECK(contains(findings[0].message, "lora_B"));
  CHECK(findings[0].fail);
}

TEST_CASE("a wrong layer index is an unused tensor and a missing target") {
  EditableAdapter adapter("plain");
  adapter.rename("layers.1.", "layers.7.");
  const auto landing = adapter.land();
  INFO(text_of(landing.findings));
  REQUIRE(find(landing, "landing.unused_tensor") != nullptr);
  CHECK(contains(find(landing, "landing.unused_tensor")->hint, "other layers"));
  CHECK(find(landing, "landing.unused_tensor")->n == 4);
  REQUIRE(find(landing, "landing.missing_target") != nullptr);
  CHECK(landing.landed == 4);
}

TEST_CASE("a missing prefix fails, with one finding for all tensors") {
  EditableAdapter adapter("plain");
  adapter.rename("base_model.model.", "");
  const auto landing = adapter.land();
  const auto* finding = find(landing, "landing.unused_tensor");
  REQUIRE(finding != nullptr);
  CHECK(finding->n == 8);
  CHECK(finding->of == 8);
  CHECK(contains(finding->message, "8 of 8 tensors"));
  CHECK(contains(finding->hint, "base_model.model."));
  CHECK(landing.landed == 0);
}

TEST_CASE("half of the layers missing is reported as N of M") {
  EditableAdapter adapter("all_linear");
  adapter.erase_if([](const auto& t) { return contains(t.name, "layers.1."); });
  const auto landing = adapter.land();
  REQUIRE(landing.findings.size() == 1);
  const auto& finding = landing.findings[0];
  CHECK(finding.id == "landing.missing_target");
  CHECK(finding.n == 7);
  CHECK(finding.of == 14);
  CHECK(contains(finding.message, "7 of 14 targets"));
  CHECK(finding.fail);
}

TEST_CASE("transposed tensors are named as such") {
  EditableAdapter adapter("plain");
  auto& a = adapter.at(key(kQ0 + ".lora_A.weight"));
  std::swap(a.shape[0], a.shape[1]);
  const auto landing = adapter.land();
  REQUIRE(find(landing, "landing.shape") != nullptr);
  CHECK(contains(find(landing, "landing.shape")->message, "transposed"));
  CHECK(contains(find(landing, "landing.shape")->message, "[4, 32], found [32, 4]"));
  CHECK(contains(find(landing, "landing.shape")->hint, "fan_in_fan_out"));
  CHECK(find(landing, "landing.missing_target") == nullptr);
}

TEST_CASE("NaN and infinity are found") {
  for (const float value : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    EditableAdapter adapter("modules_to_save");
    adapter.at(key("lm_head.weight")).floats()[17] = value;
    const auto landing = adapter.land();
    REQUIRE(landing.findings.size() == 1);
    CHECK(landing.findings[0].id == "landing.non_finite");
    CHECK(contains(landing.findings[0].message, "of 1536"));
  }
}

TEST_CASE("a rank other than the configuration's is found, with the field that set it") {
  EditableAdapter adapter("plain");
  adapter.config["r"] = 8;
  const auto landing = adapter.land();
  const auto* finding = find(landing, "landing.rank");
  REQUIRE(finding != nullptr);
  CHECK(finding->n == 8);
  CHECK(contains(finding->message, "rank 8 (r), the tensor has rank 4"));

  EditableAdapter patterned("patterns");
  patterned.config["rank_pattern"]["(gate|up)_proj"] = 9;
  REQUIRE(find(patterned.land(), "landing.rank") != nullptr);
  const auto by_pattern = patterned.land();
  CHECK(contains(find(by_pattern, "landing.rank")->message, "rank_pattern '(gate|up)_proj'"));
}

TEST_CASE("one half of a pair is not enough") {
  for (const std::string half : {"lora_A", "lora_B"}) {
    EditableAdapter adapter("plain");
    const std::string gone = key(kQ0 + "." + half + ".weight");
    adapter.erase_if([&](const auto& t) { return t.name == gone; });
    const auto landing = adapter.land();
    REQUIRE(landing.findings.size() == 1);
    CHECK(landing.findings[0].id == "landing.half_pair");
    CHECK(landing.findings[0].subject == kQ0);
    CHECK(contains(landing.findings[0].message, gone));
    CHECK_FALSE(landing.patches.at(kQ0).has_lora());
  }
}

TEST_CASE("two spellings of one place are a duplicate") {
  EditableAdapter adapter("plain");
  auto copy = adapter.at(key(kQ0 + ".lora_B.weight"));
  copy.name = key(kQ0 + ".lora_B.default.weight");
  adapter.tensors.push_back(copy);
  const auto landing = adapter.land();
  REQUIRE(find(landing, "landing.duplicate_target") != nullptr);
  CHECK(contains(find(landing, "landing.duplicate_target")->message, kQ0));
  CHECK(landing.failed());
}

TEST_CASE("an adapter name in the keys is a note") {
  EditableAdapter adapter("plain");
  adapter.rename(".weight", ".default.weight");
  const auto landing = adapter.land();
  REQUIRE(landing.findings.size() == 1);
  CHECK(landing.findings[0].id == "landing.key_dialect");
  CHECK_FALSE(landing.findings[0].fail);
  CHECK(landing.findings[0].n == 8);
  CHECK_FALSE(landing.failed());
}

TEST_CASE("tensors that the configuration does not ask for are unused") {
  SECTION("another projection") {
    EditableAdapter adapter("plain");
    auto extra = adapter.at(key(kQ0 + ".lora_A.weight"));
    extra.name = key("model.layers.0.self_attn.o_proj.lora_A.weight");
    adapter.tensors.push_back(extra);
    const auto landing = adapter.land();
    REQUIRE(find(landing, "landing.unused_tensor") != nullptr);
    CHECK(contains(find(landing, "landing.unused_tensor")->hint, "target_modules"));
  }
  SECTION("something unknown") {
    EditableAdapter adapter("plain");
    auto extra = adapter.at(key(kQ0 + ".lora_A.weight"));
    extra.name = key("value_head.weight");
    adapter.tensors.push_back(extra);
    const auto landing = adapter.land();
    REQUIRE(find(landing, "landing.unused_tensor") != nullptr);
    CHECK(contains(find(landing, "landing.unused_tensor")->message, "value_head"));
  }
  SECTION("a module that is saved whole") {
    EditableAdapter adapter("modules_to_save");
    auto extra = adapter.at(key(kQ0 + ".lora_A.weight"));
    extra.name = key("lm_head.lora_A.weight");
    adapter.tensors.push_back(extra);
    CHECK(find(adapter.land(), "landing.unused_tensor") != nullptr);
  }
}

TEST_CASE("an adapter of a larger model has the wrong shapes") {
  EditableAdapter adapter("plain");
  for (auto& tensor : adapter.tensors) {
    auto& wide = contains(tensor.name, "lora_A") ? tensor.shape[1] : tensor.shape[0];
    wide *= 2;
    tensor.bytes.resize(tensor.bytes.size() * 2);
  }
  const auto landing = adapter.land();
  const auto* finding = find(landing, "landing.shape");
  REQUIRE(finding != nullptr);
  CHECK(finding->n == 8);
  CHECK(contains(finding->hint, "--base"));
  CHECK(landing.landed == 0);
}

TEST_CASE("DoRA without its magnitude, and a magnitude without DoRA") {
  EditableAdapter missing("dora");
  missing.erase_if([](const auto& t) { return contains(t.name, "magnitude"); });
  const auto without = missing.land();
  REQUIRE(without.findings.size() == 1);
  CHECK(without.findings[0].id == "landing.missing_target");
  CHECK(contains(without.findings[0].message, "lora_magnitude_vector"));

  EditableAdapter unused("dora");
  unused.config["use_dora"] = false;
  const auto extra = unused.land();
  REQUIRE(extra.findings.size() == 1);
  CHECK(extra.findings[0].id == "landing.unused_tensor");
  CHECK(contains(extra.findings[0].hint, "use_dora"));
}

TEST_CASE("lora_bias without its tensors, and the reverse") {
  EditableAdapter missing("lora_bias");
  missing.erase_if([](const auto& t) { return t.name.ends_with("lora_B.bias"); });
  REQUIRE(find(missing.land(), "landing.missing_target") != nullptr);
  EditableAdapter unused("lora_bias");
  unused.config["lora_bias"] = false;
  const auto landing = unused.land();
  REQUIRE(landing.findings.size() == 1);
  CHECK(contains(landing.findings[0].hint, "lora_bias"));
  EditableAdapter embedding("embedding");
  embedding.config["lora_bias"] = true;
  CHECK(contains(text_of(embedding.land().findings), "PEFT refuses for an embedding"));
}

TEST_CASE("promised whole tensors that are not there") {
  EditableAdapter saved("modules_to_save");
  saved.erase_if([](const auto& t) { return t.name == key("lm_head.weight"); });
  const auto head = saved.land();
  REQUIRE(find(head, "landing.missing_target") != nullptr);
  CHECK(contains(find(head, "landing.missing_target")->message, "lm_head.weight"));
  EditableAdapter biases("bias_lora_only");
  biases.erase_if([](const auto& t) { return t.name.ends_with(".bias"); });
  const auto lost = biases.land();
  REQUIRE(find(lost, "landing.missing_target") != nullptr);
  CHECK(contains(find(lost, "landing.missing_target")->hint, "lora_only"));
}

TEST_CASE("whole tensors for modules that have no place for them") {
  EditableAdapter bias("bias_all");
  bias.base = "base";
  CHECK(contains(text_of(bias.land().findings), "no bias in this module"));
  EditableAdapter wrapped("bias_lora_only");
  wrapped.rename(".base_layer.bias", ".bias");
  CHECK(contains(text_of(wrapped.land().findings), "'.base_layer' before"));
}

TEST_CASE("another vocabulary is a shape finding with its own hint") {
  EditableAdapter adapter("modules_to_save");
  auto& head = adapter.at(key("lm_head.weight"));
  head.shape[0] += 2;
  head.bytes.resize(head.bytes.size() + 2 * 32 * 4);
  const auto landing = adapter.land();
  REQUIRE(find(landing, "landing.shape") != nullptr);
  CHECK(contains(find(landing, "landing.shape")->hint, "vocabulary"));
}

TEST_CASE("quantised or integer tensors are refused as a finding") {
  EditableAdapter adapter("plain");
  auto& a = adapter.at(key(kQ0 + ".lora_A.weight"));
  a.dtype = io::DType::I32;
  const auto landing = adapter.land();
  REQUIRE(find(landing, "landing.shape") != nullptr);
  CHECK(contains(find(landing, "landing.shape")->message, "I32"));
}

TEST_CASE("lora tensors of the wrong kind of module") {
  EditableAdapter adapter("embedding");
  adapter.rename("embed_tokens.lora_embedding_A", "embed_tokens.lora_A.weight");
  const auto landing = adapter.land();
  CHECK(contains(text_of(landing.findings), "lora_embedding_A"));
  CHECK(find(landing, "landing.unused_tensor") != nullptr);
  CHECK(find(landing, "landing.half_pair") != nullptr);
}

TEST_CASE("configured names that hit nothing") {
  EditableAdapter adapter("plain");
  adapter.config["target_modules"] = Json::array({"q_proj", "v_proj", "gate_prj"});
  const auto landing = adapter.land();
  REQUIRE(landing.findings.size() == 1);
  CHECK(landing.findings[0].id == "landing.missing_target");
  CHECK(landing.findings[0].subject == "gate_prj");
  CHECK(contains(landing.findings[0].hint, "gate_proj"));

  EditableAdapter saved("plain");
  saved.config["modules_to_save"] = Json::array({"score"});
  CHECK(contains(text_of(saved.land().findings), "modules_to_save names 'score'"));

  EditableAdapter nothing("plain");
  nothing.config["target_modules"] = ".*no_such";
  CHECK(contains(text_of(nothing.land().findings), "adapts no module"));
}

TEST_CASE("a pattern key that decides nothing is a note") {
  EditableAdapter adapter("plain");
  adapter.config["alpha_pattern"] = Json{{"q_prj", 99}};
  const auto landing = adapter.land();
  REQUIRE(landing.findings.size() == 1);
  CHECK(landing.findings[0].id == "landing.unused_pattern");
  CHECK_FALSE(landing.findings[0].fail);
}

TEST_CASE("targets that are no linear layers are what PEFT refuses") {
  EditableAdapter adapter("plain");
  adapter.config["target_modules"] = ".*(self_attn|q_proj|v_proj)";
  const auto landing = adapter.land();
  CHECK(contains(text_of(landing.findings), "neither a linear layer nor an embedding"));
  EditableAdapter norm("plain");
  norm.config["target_modules"] = Json::array({"q_proj", "v_proj", "norm"});
  CHECK(contains(text_of(norm.land().findings), "neither a linear layer"));
  EditableAdapter both("plain");
  both.config["modules_to_save"] = Json::array({"v_proj", "_proj"});
  CHECK(contains(text_of(both.land().findings), "both claim"));
}

TEST_CASE("tied weights replaced by two different tensors") {
  EditableAdapter adapter("saved_embeddings");
  adapter.base = "base_tied";
  const auto landing = adapter.land();
  REQUIRE(find(landing, "landing.duplicate_target") != nullptr);
  CHECK(contains(find(landing, "landing.duplicate_target")->message, "ties"));
}

TEST_CASE("a whole weight that modules_to_save does not list is noted") {
  EditableAdapter adapter("modules_to_save_norm");
  adapter.config["modules_to_save"] = nullptr;
  const auto landing = adapter.land();
  REQUIRE(find(landing, "landing.base_replaced") != nullptr);
  CHECK_FALSE(landing.failed());
}

TEST_CASE("an empty adapter file misses every target") {
  EditableAdapter adapter("plain");
  adapter.tensors.clear();
  const auto landing = adapter.land();
  CHECK(landing.failed());
  CHECK(landing.tensors == 0);
  CHECK(find(landing, "landing.missing_target")->n == 4);
}
