// SPDX-License-Identifier: Apache-2.0
// Hand-packed bitsandbytes weights, and what is wrong with broken ones. Real ones:
// tests/live/candidate_live.py.
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "support/catch.h"
#include "unit/candidate/checkpoint_folder.h"

using loraproof::Json;
using loraproof::io::DType;
using loraproof::test::CheckpointFolder;
using loraproof::test::values_of;

namespace {

const std::string kState = "m.weight.quant_state.bitsandbytes__nf4";

void set_state(CheckpointFolder& folder, const Json& state) {
  const std::string text = state.dump();
  folder.tensor(kState, DType::U8, {static_cast<std::int64_t>(text.size())},
                std::vector<char>(text.begin(), text.end()));
}
Json state() {
  return {{"quant_type", "nf4"}, {"blocksize", 4}, {"dtype", "float32"}, {"shape", {3, 2}}};
}

// [3, 2] in two blocks of 4: codes 0 to 5, the map doubles the code.
CheckpointFolder four_bit() {
  CheckpointFolder folder({{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}});
  folder.tensor("m.weight", DType::U8, {3, 1}, std::vector<std::uint8_t>{0x01, 0x23, 0x45});
  std::vector<float> map(16);
  for (std::size_t i = 0; i < 16; ++i) map[i] = 2 * static_cast<float>(i);
  folder.tensor("m.weight.quant_map", DType::F32, {16}, map);
  folder.tensor("m.weight.absmax", DType::F32, {2}, std::vector<float>{1, 10});
  set_state(folder, state());
  return folder;
}

}  // namespace

TEST_CASE("bitsandbytes 4 bit by hand: high nibble first, blocks across rows") {
  CheckpointFolder folder = four_bit();
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "bitsandbytes nf4 g4");
  CHECK(values_of(source, "m.weight") == std::vector<float>{0, 2, 4, 6, 80, 100});
}

TEST_CASE("bitsandbytes 4 bit rounds to the type of its state") {
  CheckpointFolder folder = four_bit();
  folder.tensor("m.weight.absmax", DType::F32, {2}, std::vector<float>{1.00390625f, 1});
  CHECK(values_of(folder.open(), "m.weight")[1] == 2.0078125f);
  Json bf16 = state();
  bf16["dtype"] = "bfloat16";
  set_state(folder, bf16);
  CHECK(values_of(folder.open(), "m.weight")[1] == 2.0f);
}

TEST_CASE("bitsandbytes nested absmax by hand") {
  CheckpointFolder folder = four_bit();
  Json nested = state();
  nested["nested_blocksize"] = 256;
  nested["nested_dtype"] = "float32";
  nested["nested_offset"] = 0.5;
  set_state(folder, nested);
  folder.tensor("m.weight.absmax", DType::U8, {2}, std::vector<std::uint8_t>{1, 255});
  std::vector<float> map(256);
  std::iota(map.begin(), map.end(), 0.0f);
  folder.tensor("m.weight.nested_quant_map", DType::F32, {256}, map);
  folder.tensor("m.weight.nested_absmax", DType::F32, {1}, std::vector<float>{0.25f});
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "bitsandbytes nf4 g4 nested");
  CHECK(values_of(source, "m.weight") ==
        std::vector<float>{0, 1.5f, 3, 4.5f, 8 * 64.25f, 10 * 64.25f});
}

TEST_CASE("bitsandbytes 8 bit by hand") {
  CheckpointFolder folder({{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}});
  folder.tensor("m.weight", DType::I8, {2, 2}, std::vector<std::int8_t>{127, -127, 0, 1});
  folder.tensor("m.SCB", DType::F32, {2}, std::vector<float>{2, 4});
  folder.tensor("m.weight_format", DType::U8, {}, std::vector<std::uint8_t>{0});
  const auto values = values_of(folder.open(), "m.weight");
  CHECK(values[0] == Approx(2.0));
  CHECK(values[1] == Approx(-2.0));
  CHECK(values[2] == 0);
  CHECK(values[3] == Approx(4.0 / 127));
  CHECK(folder.open().inputs("m.weight").outlier == 6);
  folder.quantisation()["llm_int8_threshold"] = 0.0;
  CHECK(std::isinf(folder.open().inputs("m.weight").outlier));
  folder.tensor("m.weight_format", DType::U8, {}, std::vector<std::uint8_t>{1});
  CHECK(folder.refusal() ==
        "m.weight_format: layout of an 8-bit weight that is not read: expected 0 (rows), found "
        "another");
  folder.without("m.SCB");
  CHECK(folder.refusal().find("m.weight: weight is stored in a type") == 0);
}

TEST_CASE("broken bitsandbytes weights are refused") {
  CheckpointFolder folder = four_bit();
  SECTION("codes") {
    folder.tensor("m.weight", DType::U8, {2, 1}, std::vector<std::uint8_t>{1, 2});
    CHECK(folder.refusal() ==
          "m.weight: codes do not fit the shape of the weight: expected 3 bytes, found 2 bytes");
  }
  SECTION("absmax") {
    folder.tensor("m.weight.absmax", DType::F32, {3}, std::vector<float>(3));
    CHECK(folder.refusal() ==
          "m.weight.absmax: tensor of a quantised weight has the wrong shape: expected [2] (one "
          "for each 4 of 6 values), found [3]");
    folder.without("m.weight.absmax");
    CHECK(folder.refusal().find("m.weight.absmax: a tensor of a quantised weight is missing") == 0);
  }
  SECTION("no weight") {
    CHECK(folder.without("m.weight").refusal().find("m.weight: a tensor of a quantised") == 0);
  }
  SECTION("no state") {
    CHECK(folder.without(kState).refusal().find("without") != std::string::npos);
  }
  SECTION("state") {
    for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{{"blocksize", 0},
                                                                              {"dtype", "int4"},
                                                                              {"shape", {3}},
                                                                              {"shape", {-1, 2}},
                                                                              {"quant_type", 4}}) {
      Json broken = state();
      broken[key] = value;
      set_state(folder, broken);
      INFO(key);
      CHECK(folder.refusal().find("/" + key + ": ") == 0);
    }
    folder.tensor(kState, DType::U8, {2}, std::vector<char>{'{', 'x'});
    CHECK(folder.refusal().find("not valid JSON") != std::string::npos);
  }
}
