// SPDX-License-Identifier: Apache-2.0
// FP8 weights with blocks by hand, and what is wrong with broken ones.
#include <cstdint>
#include <string>
#include <vector>

#include "support/catch.h"
#include "unit/candidate/checkpoint_folder.h"

using loraproof::Json;
using loraproof::io::DType;
using loraproof::test::CheckpointFolder;
using loraproof::test::values_of;

namespace {

// [3, 3] of ones (0x38) in blocks of 2 x 2.
CheckpointFolder blocks() {
  CheckpointFolder folder({{"quant_method", "fp8"}, {"weight_block_size", {2, 2}}});
  folder.tensor("m.weight", DType::F8E4M3, {3, 3}, std::vector<std::uint8_t>(9, 0x38));
  folder.tensor("m.weight_scale_inv", DType::F32, {2, 2}, std::vector<float>{1, 2, 3, 4});
  return folder;
}

}  // namespace

TEST_CASE("fp8 blocks that are cut short at the edges") {
  CheckpointFolder folder = blocks();
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "fp8 block 2x2");
  CHECK(source.inputs("m.weight").activations == loraproof::quant::Activations::E4m3PerGroup);
  CHECK(values_of(source, "m.weight") == std::vector<float>{1, 1, 2, 1, 1, 2, 3, 3, 4});
}

TEST_CASE("fp8 with one scale a tensor") {
  CheckpointFolder folder = blocks();
  folder.quantisation()["weight_block_size"] = nullptr;
  folder.tensor("m.weight_scale_inv", DType::F32, {}, std::vector<float>{0.5f});
  CHECK(values_of(folder.open(), "m.weight") == std::vector<float>(9, 0.5f));
}

TEST_CASE("broken fp8 weights are refused") {
  CheckpointFolder folder = blocks();
  SECTION("grid") {
    folder.tensor("m.weight_scale_inv", DType::F32, {1, 2}, std::vector<float>{1, 2});
    CHECK(folder.refusal() ==
          "m.weight_scale_inv: tensor of a quantised weight has the wrong shape: expected [2, 2] "
          "(blocks of 2 x 2 of [3, 3]), found [1, 2]");
  }
  SECTION("no scale") {
    CHECK(folder.without("m.weight_scale_inv").refusal() ==
          "m.weight: weight is stored in a type that says nothing without a scale: expected F32, "
          "F16, BF16, or the scales of a quantised weight, found F8_E4M3");
  }
  SECTION("no weight") {
    CHECK(folder.without("m.weight").refusal().find("m.weight: a tensor of a quantised") == 0);
  }
  SECTION("block size") {
    folder.quantisation()["weight_block_size"] = {2, 0};
    CHECK(folder.refusal() ==
          "/quantization_config/weight_block_size: bad block size: expected two sizes of at least "
          "1, found [2,0]");
  }
  SECTION("fused experts") {
    folder.tensor("experts.gate_up_proj_scale_inv", DType::F32, {1}, std::vector<float>{1});
    CHECK(folder.refusal().find("scales of a fused FP8 weight are not read") != std::string::npos);
  }
}
