// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/keys.h"

#include <string>
#include <vector>

#include "loraproof/core/json.h"
#include "support/catch.h"
#include "unit/adapter/support.h"

using namespace loraproof;
using adapter::Dialect;
using adapter::Part;

TEST_CASE("each part of a PEFT key is recognised and written back") {
  for (const Part part : {Part::LoraA, Part::LoraB, Part::LoraBBias, Part::EmbeddingA,
                          Part::EmbeddingB, Part::Magnitude, Part::BaseWeight, Part::BaseBias,
                          Part::TokenRows, Part::Weight, Part::Bias}) {
    const std::string key = adapter::peft_key("model.layers.3.mlp.up_proj", part);
    INFO(key);
    const auto parsed = adapter::parse_key(key);
    CHECK(parsed.module == "model.layers.3.mlp.up_proj");
    CHECK(parsed.part == part);
    CHECK(parsed.dialect == Dialect::Peft);
    CHECK(parsed.is_loaded());
  }
}

TEST_CASE("foreign spellings are told apart") {
  struct Row {
    const char* key;
    Dialect dialect;
    const char* module;
    Part part;
  };
  const std::vector<Row> rows = {
      {"base_model.model.a.q.lora_A.default.weight", Dialect::AdapterName, "a.q", Part::LoraA},
      {"base_model.model.a.q.lora_B.default.bias", Dialect::AdapterName, "a.q", Part::LoraBBias},
      {"base_model.model.a.q.lora_magnitude_vector.weight", Dialect::AdapterName, "a.q",
       Part::Magnitude},
      {"base_model.model.a.q.lora_A.mine.weight", Dialect::OtherName, "a.q", Part::LoraA},
      {"base_model.model.a.e.lora_embedding_A.mine", Dialect::OtherName, "a.e", Part::EmbeddingA},
      {"base_model.model.h.modules_to_save.default.weight", Dialect::SavedInfix, "h", Part::Weight},
      {"a.q.lora_A.weight", Dialect::MissingPrefix, "a.q", Part::LoraA},
      {"base_model.a.q.lora_A.weight", Dialect::MissingPrefix, "base_model.a.q", Part::LoraA},
      {"_orig_mod.base_model.model.a.q.lora_A.weight", Dialect::ForeignPrefix, "a.q", Part::LoraA},
      {"base_model.model.base_model.model.a.q.lora_A.weight", Dialect::ForeignPrefix, "a.q",
       Part::LoraA},
      {"base_model.model.a.q.lora.down.weight", Dialect::Diffusers, "a.q", Part::LoraA},
      {"lora_unet_down_blocks_0.lora_up.weight", Dialect::Kohya, "lora_unet_down_blocks_0",
       Part::LoraB},
      {"lora_te_x.alpha", Dialect::Kohya, "lora_te_x", Part::Unknown},
      {"base_model.model.a.q.hada_w1_a", Dialect::OtherMethod, "a.q", Part::Unknown},
      {"base_model.model.a.q.lora_C", Dialect::UnknownPart, "a.q.lora_C", Part::Unknown},
      {"", Dialect::UnknownPart, "", Part::Unknown}};
  for (const auto& row : rows) {
    INFO(row.key);
    const auto parsed = adapter::parse_key(row.key);
    CHECK(parsed.dialect == row.dialect);
    CHECK(parsed.module == row.module);
    CHECK(parsed.part == row.part);
    CHECK_FALSE(adapter::problem_of(parsed.dialect).empty());
    CHECK_FALSE(adapter::hint_for(parsed.dialect).empty());
  }
}

TEST_CASE("a spelling is usable exactly when PEFT loads it") {
  for (const auto& [name, value] : test::landing_values().at("dialects").items()) {
    INFO(name);
    test::EditableAdapter adapter(value.at("case").get<std::string>());
    for (auto& tensor : adapter.tensors) {
      const Json& renamed = value.at("keys");
      if (renamed.contains(tensor.name)) tensor.name = renamed.at(tensor.name).get<std::string>();
    }
    const Json& loads = value.at("loads");
    const bool peft_loads = loads.is_boolean() && loads.get<bool>();
    const auto landing = adapter.land();
    INFO(test::text_of(landing.findings));
    CHECK(landing.failed() == !peft_loads);
    CHECK((landing.landed == landing.tensors) == peft_loads);
  }
}
