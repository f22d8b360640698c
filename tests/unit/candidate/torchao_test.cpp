// SPDX-License-Identifier: Apache-2.0
// torchao weights by hand. Real ones: fixtures_test.cpp and tests/live/candidate_torchao.py.
#include <cmath>
#include <cstdint>
#include <vector>

#include "support/catch.h"
#include "unit/candidate/torchao_folder.h"

using loraproof::Json;
using loraproof::io::DType;
using loraproof::quant::Activations;
using loraproof::test::affine;
using loraproof::test::change;
using loraproof::test::CheckpointFolder;
using loraproof::test::describe;
using loraproof::test::float8;
using loraproof::test::int4;
using loraproof::test::mx;
using loraproof::test::swizzled;
using loraproof::test::torch_type;
using loraproof::test::values_of;

TEST_CASE("torchao Float8Tensor by hand") {
  CheckpointFolder folder = float8();
  folder.tensor("m.bias", DType::F32, {1}, std::vector<float>{3});
  describe(folder, "m.bias", {{"_type", "Tensor"}});
  const auto source = folder.open();
  CHECK(source.about().scheme == "torchao");
  CHECK(source.method("m.weight") == "torchao float8 channel");
  CHECK(source.names().size() == 2);
  CHECK(source.stored_bytes("m.weight") == 16);
  CHECK(values_of(source, "m.bias") == std::vector<float>{3});
  CHECK(values_of(source, "m.weight") ==
        std::vector<float>{0.5f, 1, -0.5f, 224, 2.00390625f, 4.0078125f, -2.00390625f, 897.75f});
  // In the type of the weight.
  change(folder, "dtype", torch_type("bfloat16"));
  CHECK(values_of(folder.open(), "m.weight")[4] == 2.0f);
}

TEST_CASE("torchao Float8Tensor: how scales are shared") {
  CheckpointFolder folder = float8();
  SECTION("whole") {
    folder.tensor("m._weight_scale", DType::F32, {1, 1}, std::vector<float>{2});
    change(folder, "block_size", {2, 4});
    CHECK(folder.open().method("m.weight") == "torchao float8 tensor");
    CHECK(values_of(folder.open(), "m.weight")[7] == 896);
    folder.tensor("m._weight_scale", DType::F32, {}, std::vector<float>{2});
    change(folder, "block_size", Json::array());
    CHECK(folder.open().method("m.weight") == "torchao float8 tensor");
  }
  SECTION("unsaid") {
    change(folder, "block_size", nullptr);
    folder.tensor("m._weight_scale", DType::F32, {1, 2}, std::vector<float>{2, 3});
    CHECK(folder.open().method("m.weight") == "torchao float8 block 2x2");
    CHECK(values_of(folder.open(), "m.weight")[5] == 4);
    CHECK(values_of(folder.open(), "m.weight")[6] == -3);
  }
  SECTION("stacked weights") {
    folder.tensor("m._weight_qdata", DType::F8E5M2, {2, 2, 2}, std::vector<std::uint8_t>(8, 0x3c));
    folder.tensor("m._weight_scale", DType::F32, {2, 1, 2}, std::vector<float>{1, 2, 3, 4});
    change(folder, "block_size", {1, 2, 1});
    const auto source = folder.open();
    CHECK(source.method("m.weight") == "torchao float8 e5m2 block 2x1");
    CHECK(source.row_count("m.weight") == 4);
    CHECK(values_of(source, "m.weight") == std::vector<float>{1, 2, 1, 2, 3, 4, 3, 4});
  }
}

TEST_CASE("torchao Int8Tensor by hand") {
  CheckpointFolder folder = affine("Int8Tensor");
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "torchao int8 g2");
  CHECK(values_of(source, "m.weight") == std::vector<float>{-2, -1, -2, 0, 1.5f, 2, 6, 102});
  folder.without("m._weight_zero_point");
  Json text = Json::parse(folder.metadata()["m.weight"]);
  text["_tensor_data_names"] = {"qdata", "scale"};
  describe(folder, "m.weight", text);
  CHECK(values_of(folder.open(), "m.weight") == std::vector<float>{-2, -1, 0, 2, 1, 1.5f, 4, 100});
}

TEST_CASE("inputs of torchao's layers") {
  CheckpointFolder folder = affine("Int8Tensor");
  const auto wrapped = [](const char* type, Json data) {
    return Json{{"_type", type}, {"_data", std::move(data)}};
  };
  const auto inputs_of = [&](const char* type, const char* granularity, Json more) {
    more["granularity"] = wrapped(granularity, {{"dim", -1}});
    change(folder, "act_quant_kwargs", wrapped(type, std::move(more)));
    return folder.open().inputs("m.weight").activations;
  };
  const char* int8 = "QuantizeTensorToInt8Kwargs";
  const char* float8 = "QuantizeTensorToFloat8Kwargs";
  const Json symmetric = {{"mapping_type", wrapped("MappingType", "SYMMETRIC")}};
  const Json asymmetric = {{"mapping_type", wrapped("MappingType", "ASYMMETRIC")}};
  Json reduced = symmetric;
  reduced["reduce_range"] = true;
  const Json e4m3 = {{"float8_dtype", wrapped("torch.dtype", "float8_e4m3fn")}};
  const Json e5m2 = {{"float8_dtype", wrapped("torch.dtype", "float8_e5m2")}};
  Json bounded = e4m3;
  bounded["hp_value_ub"] = 10.0;
  CHECK(inputs_of(int8, "PerRow", symmetric) == Activations::Int8PerTokenTorchao);
  CHECK(inputs_of(int8, "PerRow", asymmetric) == Activations::None);
  CHECK(inputs_of(int8, "PerRow", reduced) == Activations::None);
  CHECK(inputs_of(int8, "PerTensor", symmetric) == Activations::None);
  CHECK(inputs_of(float8, "PerRow", e4m3) == Activations::E4m3PerTokenTorchao);
  CHECK(inputs_of(float8, "PerRow", e5m2) == Activations::None);
  CHECK(inputs_of(float8, "PerRow", bounded) == Activations::None);
  CHECK(inputs_of("QuantizeTensorToMXKwargs", "PerRow", e4m3) == Activations::None);
}

TEST_CASE("torchao IntxUnpackedToInt8Tensor: the difference is rounded before the product") {
  CheckpointFolder folder = affine("IntxUnpackedToInt8Tensor");
  change(folder, "target_dtype", torch_type("int3"));
  CHECK(folder.open().method("m.weight") == "torchao int3 g2");
  folder.tensor("m._weight_zero_point", DType::F32, {2, 2}, std::vector<float>{0, 0, 0, 0.3f});
  CHECK(values_of(folder.open(), "m.weight")[7] == 100 - 0.3f);
  change(folder, "dtype", torch_type("bfloat16"));
  folder.tensor("m._weight_scale", DType::F32, {2, 2}, std::vector<float>{1, 1, 1, 3});
  // 0.3 is 0.30078125, 99.69921875 is 99.5, and 298.5 is 298; at once it would be 300.
  CHECK(values_of(folder.open(), "m.weight")[7] == 298);
}

TEST_CASE("torchao Int4Tensor by hand: low nibble first, scales across") {
  CheckpointFolder folder = int4();
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "torchao int4 g2");
  // Scales of row 0 are 1 and 0.5, of row 1 they are 2 and 4.
  CHECK(values_of(source, "m.weight") == std::vector<float>{-8, -1, 10, 13.5f, 15, 3, 0, -28});
}

TEST_CASE("torchao NVFP4Tensor: scales in tiles") {
  CheckpointFolder folder = swizzled();
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "torchao nvfp4");
  const auto values = values_of(source, "m.weight");
  REQUIRE(values.size() == 130 * 160);
  int wrong = 0;
  for (std::size_t i = 0; i < 130; ++i) {
    for (std::size_t c = 0; c < 160; ++c) {
      const auto code = static_cast<int>((i + c / 16) % 126 + 1);  // E4M3, bias 7
      const double scale =
          code < 8 ? std::ldexp(code, -9) : std::ldexp(8 + code % 8, code / 8 - 10);
      wrong += values[i * 160 + c] == static_cast<float>(0.5 * scale) ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("torchao MXTensor by hand") {
  CheckpointFolder folder = mx();
  std::vector<float> values(96);
  const auto method = [&] {
    const auto source = folder.open();
    source.rows("m.weight", 0, 1, values);
    return source.method("m.weight");
  };
  CHECK(method() == "torchao mxfp8");
  CHECK(values[0] == 0x1p-127f);
  CHECK(values[32] == 2);
  CHECK(std::isnan(values[64]));
  folder.tensor("m._weight_qdata", DType::U8, {1, 48}, std::vector<std::uint8_t>(48, 0x72));
  change(folder, "elem_dtype", torch_type("float4_e2m1fn_x2"));
  CHECK(method() == "torchao mxfp4");
  CHECK(values[32] == 2);
  CHECK(values[33] == 12);
}
