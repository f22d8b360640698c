// SPDX-License-Identifier: Apache-2.0
// Checkpoints that GPTQModel and torchao wrote (tests/oracles/candidate_fixtures.py): every weight
// has the digest of what the library itself dequantises it to.
#include <string>
#include <vector>

#include "loraproof/candidate/weight_source.h"
#include "loraproof/core/digest.h"
#include "loraproof/core/json.h"
#include "support/catch.h"

namespace {

// `plain`: how many weights are not quantised.
void check_fixture(const std::string& name, const std::string& method, const std::string& scheme,
                   std::size_t plain = 5) {
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
  CHECK(source.names().size() == expected.size() + plain);
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

TEST_CASE("torchao's checkpoints are what torchao makes of them") {
  check_fixture("torchao-float8", "torchao float8 channel", "torchao");
  check_fixture("torchao-int8", "torchao int8 g16", "torchao");
  check_fixture("torchao-int8-dynamic", "torchao int8 channel", "torchao");
  check_fixture("torchao-int4", "torchao int4 ", "torchao");
  check_fixture("torchao-nvfp4", "torchao nvfp4", "torchao");
  check_fixture("torchao-mxfp8", "torchao mxfp8", "torchao");
  check_fixture("torchao-mxfp4", "torchao mxfp4", "torchao");
}
TEST_CASE("torchao in shards, a class for each matrix, with a tied head") {
  check_fixture("torchao-mixed", "torchao ", "torchao", 4);
}
