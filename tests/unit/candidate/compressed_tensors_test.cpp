// SPDX-License-Identifier: Apache-2.0
// Hand-packed compressed-tensors layers, and what is wrong with broken ones. Real ones:
// tests/live/candidate_live.py.
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

Json scheme(const Json& weights) {
  return {{"quant_method", "compressed-tensors"},
          {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}}}}}};
}
Json int4_group8() {
  return {{"num_bits", 4}, {"type", "int"}, {"strategy", "group"}, {"group_size", 8}};
}

// [2, 16]: row 0 has codes 0 to 15 (values -8 to 7), row 1 the same backwards.
CheckpointFolder packed() {
  CheckpointFolder folder(scheme(int4_group8()));
  folder.tensor("m.weight_packed", DType::I32, {2, 2},
                std::vector<std::uint32_t>{0x76543210u, 0xfedcba98u, 0x89abcdefu, 0x01234567u});
  folder.tensor("m.weight_scale", DType::F32, {2, 2}, std::vector<float>{1, 2, 0.5f, 3});
  folder.tensor("m.weight_shape", DType::I64, {2}, std::vector<std::int64_t>{2, 16});
  return folder;
}

CheckpointFolder bytes(const Json& weights) {
  CheckpointFolder folder(scheme(weights));
  folder.tensor("m.weight", DType::I8, {2, 2}, std::vector<std::int8_t>{-128, 127, 1, -1});
  folder.tensor("m.weight_scale", DType::F32, {2, 1}, std::vector<float>{0.5f, 4});
  return folder;
}
Json int8_channel() { return {{"num_bits", 8}, {"type", "int"}, {"strategy", "channel"}}; }

}  // namespace

TEST_CASE("pack-quantized by hand") {
  CheckpointFolder folder = packed();
  folder.tensor("m.input_scale", DType::F32, {1}, std::vector<float>{1});  // of activations
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "compressed-tensors int4 g8");
  CHECK(source.names().size() == 1);
  const auto values = values_of(source, "m.weight");
  CHECK(values[0] == -8);
  CHECK(values[7] == -1);
  CHECK(values[8] == 0);
  CHECK(values[15] == 14);
  CHECK(values[16] == 3.5f);
  CHECK(values[31] == -24);
}

TEST_CASE("pack-quantized with zero points packed along the outputs") {
  CheckpointFolder folder = packed();
  folder.quantisation() = scheme([] {
    Json weights = int4_group8();
    weights["symmetric"] = false;
    return weights;
  }());
  // Column g: nibble o is zero + 8. Row 0: -8 and 7; row 1: 0 and 1.
  folder.tensor("m.weight_zero_point", DType::I32, {1, 2}, std::vector<std::uint32_t>{0x80, 0x9f});
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "compressed-tensors int4 g8 asym");
  const auto values = values_of(source, "m.weight");
  CHECK(values[0] == 0);
  CHECK(values[7] == 7);
  CHECK(values[8] == -14);
  CHECK(values[16] == 3.5f);
  CHECK(values[31] == -27);
}

TEST_CASE("codes that straddle words") {
  // Five bits: 16 codes of 5 bits in three words; code i is i.
  CheckpointFolder folder(scheme({{"num_bits", 5}, {"type", "int"}, {"strategy", "channel"}}));
  std::vector<std::uint32_t> words(3);
  for (std::uint32_t i = 0; i < 16; ++i) {
    for (std::uint32_t bit = 0; bit < 5; ++bit) {
      const std::uint32_t at = 5 * i + bit;
      words[at / 32] |= ((i >> bit) & 1u) << (at % 32);
    }
  }
  folder.tensor("m.weight_packed", DType::I32, {1, 3}, words);
  folder.tensor("m.weight_scale", DType::F32, {1, 1}, std::vector<float>{1});
  folder.tensor("m.weight_shape", DType::I64, {2}, std::vector<std::int64_t>{1, 16});
  const auto values = values_of(folder.open(), "m.weight");
  for (std::size_t i = 0; i < 16; ++i) CHECK(values[i] == static_cast<float>(i) - 16);
}

TEST_CASE("what is done to inputs is in the configuration, and a static scale in the file") {
  using loraproof::quant::Activations;
  const auto activations = [](const Json& inputs) {
    CheckpointFolder folder = bytes(int8_channel());
    folder.quantisation()["config_groups"]["group_0"]["input_activations"] = inputs;
    folder.tensor("m.input_scale", DType::F32, {1}, std::vector<float>{0.25f});
    return folder.open().inputs("m.weight");
  };
  CHECK(activations(nullptr).activations == Activations::None);
  const Json token = {{"num_bits", 8}, {"type", "int"}, {"strategy", "token"}, {"dynamic", true}};
  CHECK(activations(token).activations == Activations::Int8PerToken);
  Json other = token;
  other["type"] = "float";
  CHECK(activations(other).activations == Activations::E4m3PerToken);
  other["num_bits"] = 4;
  CHECK(activations(other).activations == Activations::None);
  const Json fixed = {{"num_bits", 8}, {"type", "float"}, {"strategy", "tensor"}};
  CHECK(activations(fixed).activations == Activations::E4m3Static);
  CHECK(activations(fixed).scale == 0.25);
}

TEST_CASE("int8 by channel, by tensor and with zeros") {
  CheckpointFolder folder = bytes(int8_channel());
  CHECK(values_of(folder.open(), "m.weight") == std::vector<float>{-64, 63.5f, 4, -4});
  folder.tensor("m.weight_scale", DType::F32, {1}, std::vector<float>{2});
  folder.quantisation() = scheme({{"num_bits", 8}, {"type", "int"}, {"strategy", "tensor"}});
  CHECK(values_of(folder.open(), "m.weight") == std::vector<float>{-256, 254, 2, -2});
  CHECK(folder.open().method("m.weight") == "compressed-tensors int8 tensor");
  folder.quantisation() =
      scheme({{"num_bits", 8}, {"type", "int"}, {"strategy", "tensor"}, {"symmetric", false}});
  folder.tensor("m.weight_zero_point", DType::I8, {1}, std::vector<std::int8_t>{-1});
  CHECK(values_of(folder.open(), "m.weight") == std::vector<float>{-254, 256, 4, 0});
}

TEST_CASE("nvfp4 by hand: the global scale divides, the result is BF16") {
  CheckpointFolder folder(scheme(
      {{"num_bits", 4}, {"type", "float"}, {"strategy", "tensor_group"}, {"group_size", 16}}));
  folder.tensor("m.weight_packed", DType::U8, {1, 8},
                std::vector<std::uint8_t>{0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe});
  folder.tensor("m.weight_scale", DType::F8E4M3, {1, 1}, std::vector<std::uint8_t>{0x40});  // 2
  folder.tensor("m.weight_global_scale", DType::F32, {1}, std::vector<float>{4});
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "compressed-tensors nvfp4");
  CHECK(values_of(source, "m.weight") == std::vector<float>{0, 0.25f, 0.5f, 0.75f, 1, 1.5f, 2, 3, 0,
                                                            -0.25f, -0.5f, -0.75f, -1, -1.5f, -2,
                                                            -3});
}

TEST_CASE("broken compressed-tensors layers are refused") {
  CheckpointFolder folder = packed();
  SECTION("no scale") {
    CHECK(folder.without("m.weight_scale").refusal() ==
          "m.weight_scale: a tensor of a quantised weight is missing: expected a tensor of this "
          "name, found nothing");
  }
  SECTION("no shape") {
    CHECK(folder.without("m.weight_shape")
              .refusal()
              .find("m.weight_shape: a tensor of a quantised") == 0);
  }
  SECTION("stored shape") {
    folder.tensor("m.weight_shape", DType::I64, {2}, std::vector<std::int64_t>{3, 16});
    CHECK(folder.refusal() ==
          "m.weight_shape: stored shape does not fit the codes: expected 2 rows and at least one "
          "column, found [3, 16]");
    folder.tensor("m.weight_shape", DType::I64, {2}, std::vector<std::int64_t>{2, 1ll << 62});
    CHECK(folder.refusal().find("stored shape does not fit") != std::string::npos);
  }
  SECTION("group size of the configuration") {
    folder.quantisation()["config_groups"]["group_0"]["weights"]["group_size"] = 4;
    CHECK(folder.refusal() ==
          "m.weight_scale: scales do not belong to any scheme of config_groups: expected [2, 4] "
          "(g4), found scales [2, 2] for a weight [2, 16]");
    folder.quantisation()["config_groups"]["group_0"]["weights"]["group_size"] = 5;
    CHECK(folder.refusal().find("expected inputs that groups of 5 divide") != std::string::npos);
  }
  SECTION("bits of the configuration") {
    folder.quantisation()["config_groups"]["group_0"]["weights"]["num_bits"] = 8;
    CHECK(folder.refusal().find("expected a scheme of these codes (bits, type, symmetric)") !=
          std::string::npos);
  }
  SECTION("zero points of the wrong shape") {
    folder.quantisation()["config_groups"]["group_0"]["weights"]["symmetric"] = false;
    folder.tensor("m.weight_zero_point", DType::I32, {2, 2}, std::vector<std::int32_t>(4));
    CHECK(folder.refusal().find("expected [1, 2] (packed along the outputs") != std::string::npos);
  }
  SECTION("activation order") {
    folder.tensor("m.weight_g_idx", DType::I32, {16}, std::vector<std::int32_t>(16));
    CHECK(folder.refusal().find("groups ordered by activation are not read") != std::string::npos);
  }
  SECTION("transforms and sparsity") {
    folder.quantisation()["transform_config"]["config_groups"]["u"] = {{"type", "hadamard"}};
    CHECK(folder.refusal().find("transforms of weights are not read") != std::string::npos);
    folder.quantisation()["transform_config"] = Json::object();
    folder.quantisation()["sparsity_config"]["format"] = "sparse-24-bitmask";
    CHECK(folder.refusal().find("sparse weights are not read") != std::string::npos);
  }
  SECTION("part without codes") {
    folder.without("m.weight_packed").without("m.weight_scale");
    folder.tensor("m.weight_global_scale", DType::F32, {1}, std::vector<float>{1});
    CHECK(folder.refusal() ==
          "m.weight_global_scale: part of a quantised weight without its codes: expected the codes "
          "beside it, found this tensor alone");
  }
}
