// SPDX-License-Identifier: Apache-2.0
// Checkpoints that GPTQModel wrote (tests/oracles/candidate_fixtures.py): every weight has the
// digest of what its own layers dequantise it to.
#include <string>
#include <vector>

#include "loraproof/candidate/weight_source.h"
#include "loraproof/core/digest.h"
#include "loraproof/core/json.h"
#include "support/catch.h"

namespace {

void check_fixture(const std::string& name, const std::string& method, const std::string& scheme) {
  INFO(name);
  const std::string folder = LORAPROOF_SOURCE_DIR "/tests/fixtures/candidates/" + name;
  const auto source = loraproof::candidate::open_candidate(folder);
  CHECK(source.about().scheme == scheme);
  const loraproof::Json expected = loraproof::read_json_file(folder + "/expected.json");
  CHECK(expected.size() == 7);
  for (const auto& [weight, value] : expected.items()) {
    INFO(weight);
    REQUIRE(source.has(weight));
    CHECK(source.method(weight).starts_with(method));
    std::vector<float> values(
        static_cast<std::size_t>(source.row_count(weight) * source.row_length(weight)));
    source.rows(weight, 0, source.row_count(weight), values);
    for (std::size_t i = 0; i < value["begin"].size(); ++i) {
      CHECK(values[i] == value["begin"][i].get<float>());
    }
    CHECK(loraproof::sha256_of(std::as_bytes(std::span(values))) ==
          "sha256:" + value["sha256"].get<std::string>());
  }
  // What is not quantised is there as it is stored.
  CHECK(source.method("model.embed_tokens.weight") == "bf16");
  CHECK(source.method("model.norm.weight") == "bf16");
  CHECK(source.names().size() == expected.size() + 5);
}

}  // namespace

TEST_CASE("GPTQ in activation order is what GPTQModel makes of it") {
  check_fixture("gptq-act-order", "gptq int4 g32 act-order", "gptq");
}
TEST_CASE("GPTQ version 1 with asymmetric zeros is what GPTQModel makes of it") {
  check_fixture("gptq-asymmetric", "gptq int4 g32", "gptq");
}
TEST_CASE("GPTQ version 2 of 8 bits is what GPTQModel makes of it") {
  check_fixture("gptq-v2-int8", "gptq int8 g", "gptq");
}
TEST_CASE("AWQ is what GPTQModel makes of it") { check_fixture("awq", "awq int4 g32", "awq"); }
