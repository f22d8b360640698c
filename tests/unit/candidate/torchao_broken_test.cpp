// SPDX-License-Identifier: Apache-2.0
// What is wrong with broken checkpoints of torchao.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "unit/candidate/torchao_folder.h"

using loraproof::Json;
using loraproof::candidate::open_candidate;
using loraproof::io::DType;
using loraproof::test::affine;
using loraproof::test::change;
using loraproof::test::CheckpointFolder;
using loraproof::test::describe;
using loraproof::test::description;
using loraproof::test::float8;
using loraproof::test::input_error_of;
using loraproof::test::int4;
using loraproof::test::mx;
using loraproof::test::swizzled;
using loraproof::test::TempDir;
using loraproof::test::torch_type;

TEST_CASE("broken headers of torchao are refused") {
  CheckpointFolder folder = float8();
  const std::string names = "__metadata__/tensor_names";
  SECTION("none") {
    folder.metadata().clear();
    CHECK(folder.refusal() == names +
                                  ": header does not describe the tensors of torchao: expected the "
                                  "names of the tensors, found nothing");
    CHECK(input_error_of([&] { (void)folder.open(); }).hint.find("save the model again") == 0);
  }
  SECTION("names") {
    folder.metadata()["tensor_names"] = "[\"m.weight\"";
    CHECK(folder.refusal().find("not valid JSON") != std::string::npos);
    CHECK(folder.refusal().find("found \"[\\\"m.weight\\\"\"") != std::string::npos);
    folder.metadata()["tensor_names"] = "[[[1]]]";
    CHECK_FALSE(folder.refusal().empty());
    for (const char* text : {"{}", "3", "[3]", "[\"\"]"}) {
      folder.metadata()["tensor_names"] = text;
      CHECK(folder.refusal() ==
            "/tensor_names: bad list of names: expected a list of names, found " +
                std::string(text));
    }
  }
  SECTION("no description") {
    folder.metadata().erase("m.weight");
    CHECK(folder.refusal() ==
          "m.weight: header lists a tensor that it does not describe: expected a description in "
          "__metadata__ under this name, found nothing");
  }
  SECTION("description") {
    for (const auto& [text, said] : std::vector<std::pair<std::string, std::string>>{
             {"{\"_type\"", "not valid JSON"},
             {"{\"_type\": \"Tensor\", \"_type\": \"Tensor\"}", "duplicate key"},
             {std::string(20, '[') + std::string(20, ']'), "expected what torchao writes"},
             {"{\"_data\": \"" + std::string(1 << 16, 'x') + "\"}", "expected what torchao writes"},
             {"[]", "found "},
             {"{}", "/_type: required key is missing"},
             {"{\"_type\": 3}", "/_type: "},
             {"{\"_type\": \"Float8Tensor\"}", "/_tensor_data_names: bad list of names"},
             {"{\"_type\": \"Float8Tensor\", \"_tensor_data_names\": [\"qdata\", \"scale\"]}",
              "/_data: "}}) {
      describe(folder, "m.weight", text);
      INFO(text.substr(0, 60));
      CHECK(folder.refusal().find(said) != std::string::npos);
      const auto detail = input_error_of([&] { (void)folder.open(); });
      CHECK(detail.file.ends_with("model.safetensors: m.weight"));
    }
  }
  SECTION("class") {
    describe(folder, "m.weight", description("Float9Tensor", Json::object(), {"qdata"}));
    CHECK(
        folder.refusal() ==
        "m.weight: class of a quantised weight is not read: expected Float8Tensor, Int4Tensor, "
        "Int8Tensor, IntxUnpackedToInt8Tensor, MXTensor, NVFP4Tensor, Tensor, found Float9Tensor");
    for (const std::string type : {"Int4TilePackedTo4dTensor", "Int4PlainInt32Tensor"}) {
      describe(folder, "m.weight", description(type, Json::object(), {"qdata", "scale_and_zero"}));
      CHECK(folder.refusal().find("m.weight: weight is packed for one kind of device: ") == 0);
      const auto detail = input_error_of([&] { (void)folder.open(); });
      CHECK(detail.found == type);
      CHECK(detail.hint.find("int4_packing_format") != std::string::npos);
    }
  }
  SECTION("part that is not described") {
    folder.tensor("n._weight_scale", DType::F32, {1}, std::vector<float>{1});
    CHECK(folder.refusal() ==
          "n._weight_scale: part of a quantised weight that the header does not describe: expected "
          "a description of its weight, found this tensor alone");
    folder.without("n._weight_scale");
    folder.tensor("_weight_qdata", DType::I8, {1}, std::vector<std::int8_t>{1});
    CHECK(folder.refusal().find("_weight_qdata: part of a") == 0);
  }
}

TEST_CASE("weights of torchao that are not there are refused") {
  CheckpointFolder folder = float8();
  SECTION("codes") {
    CHECK(folder.without("m._weight_qdata").refusal() ==
          "m._weight_qdata: a tensor of a quantised weight is missing: expected the qdata of the "
          "Float8Tensor that the header describes, found nothing");
  }
  SECTION("scale") {
    CHECK(folder.without("m._weight_scale").refusal().find("m._weight_scale: a tensor of a") == 0);
    CHECK(input_error_of([&] { (void)folder.open(); }).file.ends_with("model.safetensors"));
  }
  SECTION("plain") {
    describe(folder, "m.bias", {{"_type", "Tensor"}});
    CHECK(folder.refusal() ==
          "m.bias: a tensor that the header describes is missing: expected a tensor of this name, "
          "found nothing");
  }
  SECTION("a tied head") {
    describe(folder, "lm_head.weight", {{"_type", "Tensor"}});
    CHECK_FALSE(folder.open().has("lm_head.weight"));
  }
}

TEST_CASE("parts of torchao's weights that do not fit are refused") {
  CheckpointFolder folder = float8();
  const auto list = [&](const std::vector<std::string>& parts) {
    Json text = Json::parse(folder.metadata()["m.weight"]);
    text["_tensor_data_names"] = parts;
    describe(folder, "m.weight", text);
  };
  SECTION("list") {
    list({"qdata"});
    CHECK(folder.refusal() ==
          "/_tensor_data_names: description of a Float8Tensor lacks a part: expected \"scale\", "
          "found [\"qdata\"]");
    list({"qdata", "scale", "extra"});
    CHECK(folder.refusal() ==
          "/_tensor_data_names: Float8Tensor has a part that is not read: expected qdata, scale, "
          "found \"extra\"");
  }
  SECTION("scales of inputs") {
    list({"qdata", "scale", "act_pre_scale"});
    folder.tensor("m._weight_act_pre_scale", DType::F32, {4}, std::vector<float>(4, 1));
    CHECK(folder.refusal() ==
          "/_tensor_data_names: inputs are scaled before the layer, which is not read: expected no "
          "act_pre_scale, found \"act_pre_scale\"");
  }
  SECTION("types") {
    folder.tensor("m._weight_scale", DType::I8, {2, 1}, std::vector<std::int8_t>{1, 2});
    CHECK(
        folder.refusal() ==
        "m._weight_scale: tensor of a quantised weight has the wrong type: expected F32 or F16 or "
        "BF16, found I8");
    CHECK_FALSE(input_error_of([&] { (void)folder.open(); }).hint.empty());
  }
  SECTION("shapes") {
    folder.tensor("m._weight_scale", DType::F32, {2}, std::vector<float>{1, 2});
    CHECK(folder.refusal() ==
          "m._weight_scale: tensor of a quantised weight has the wrong shape: expected [2, 1] (one "
          "for each [1, 4]), found [2]");
    change(folder, "block_size", nullptr);
    CHECK(folder.refusal().find("expected one scale, or sizes that divide [2, 4], found [2]") !=
          std::string::npos);
    folder.tensor("m._weight_qdata", DType::F8E4M3, {8}, std::vector<std::uint8_t>(8));
    CHECK(folder.refusal() ==
          "m._weight_qdata: tensor of a quantised weight is no matrix: expected two sizes or more "
          "of at least 1, found [8]");
    folder.tensor("m._weight_qdata", DType::F8E4M3, {2, 0}, std::vector<std::uint8_t>());
    CHECK(folder.refusal().find("found [2, 0]") != std::string::npos);
  }
  SECTION("blocks") {
    for (const auto& [block, said] : std::vector<std::pair<Json, std::string>>{
             {{1, 3},
              "blocks do not fit the weight: expected sizes that divide those of the "
              "weight, found blocks of [1, 3] in [2, 4]"},
             {{4}, "expected as many sizes as the weight has, found blocks of [4] in [2, 4]"},
             {{0, 4}, "bad list of sizes: expected sizes of at least 1, found [0,4]"},
             {{-1, 4}, "bad list of sizes"},
             {{1, 1e300}, "bad list of sizes"},
             {"all", "bad list of sizes"}}) {
      change(folder, "block_size", block);
      CHECK(folder.refusal().find("/_data/block_size: ") == 0);
      CHECK(folder.refusal().find(said) != std::string::npos);
    }
    folder.tensor("m._weight_qdata", DType::F8E4M3, {2, 2, 2}, std::vector<std::uint8_t>(8));
    change(folder, "block_size", {2, 1, 2});
    CHECK(folder.refusal().find("expected blocks of rows that follow each other") !=
          std::string::npos);
  }
  SECTION("type of the weight") {
    change(folder, "dtype", torch_type("float64"));
    CHECK(folder.refusal() ==
          "/_data/dtype: unknown type of a dequantised weight: expected \"bfloat16\", \"float16\" "
          "or \"float32\", found \"float64\"");
    change(folder, "dtype", nullptr);
    CHECK(folder.refusal().find("/_data/dtype: not a type of torch: ") == 0);
    CHECK(folder.refusal().find("found nothing") != std::string::npos);
  }
}

TEST_CASE("what is wrong with other classes of torchao is said") {
  SECTION("int8") {
    CheckpointFolder folder = affine("Int8Tensor");
    folder.tensor("m._weight_zero_point", DType::I8, {2}, std::vector<std::int8_t>{0, 1});
    CHECK(folder.refusal().find("m._weight_zero_point: tensor of a quantised weight has the wrong "
                                "shape: expected [2, 2] (one for each [1, 2])") == 0);
  }
  SECTION("intx") {
    CheckpointFolder folder = affine("IntxUnpackedToInt8Tensor");
    change(folder, "target_dtype", torch_type("int9"));
    CHECK(folder.refusal() ==
          "/_data/target_dtype: unknown type of codes: expected \"int1\" to \"int8\", found "
          "\"int9\"");
  }
  SECTION("int4") {
    CheckpointFolder folder = int4();
    change(folder, "shape", {2, 8});
    CHECK(folder.refusal() ==
          "/_data/shape: codes do not fit the shape of the weight: expected twice the columns of "
          "qdata [2, 2], found [2, 8]");
    change(folder, "shape", Json::array());
    CHECK(folder.refusal().find("/_data/shape: codes do not fit") == 0);
    change(folder, "shape", {2, 5});
    CHECK(folder.refusal().find("/_data/shape: codes do not fit") == 0);
    change(folder, "shape", {2, 4});
    change(folder, "block_size", {2, 2});
    CHECK(folder.refusal().find("expected groups of one row, found [2, 2]") != std::string::npos);
    change(folder, "block_size", {1, 4});
    CHECK(folder.refusal().find("m._weight_scale: tensor of a quantised weight has the wrong "
                                "shape: expected [1, 2] (one for each [1, 4], inputs before "
                                "outputs)") == 0);
  }
  SECTION("nvfp4") {
    CheckpointFolder folder = swizzled();
    folder.tensor("m._weight_per_tensor_scale", DType::F32, {2}, std::vector<float>(2));
    CHECK(folder.refusal().find("expected [] (one for the weight), found [2]") !=
          std::string::npos);
    change(folder, "is_swizzled_scales", false);
    CHECK(folder.refusal().find("expected [130, 10] (one for each 16 values of a row), found "
                                "[64, 48]") != std::string::npos);
    change(folder, "block_size", 0);
    CHECK(folder.refusal() == "/_data/block_size: value out of range: expected 1 to 4096, found 0");
    change(folder, "is_swizzled_scales", true);
    change(folder, "block_size", 16);
    folder.tensor("m._weight_qdata", DType::U8, {2, 65, 80}, std::vector<std::uint8_t>(10400));
    CHECK(folder.refusal().find("tiles of scales span stacked weights: expected rows that are a "
                                "multiple of 128, found 65 rows") != std::string::npos);
  }
  SECTION("mx") {
    CheckpointFolder folder = mx();
    change(folder, "elem_dtype", "fp6_e2m3");
    CHECK(folder.refusal() ==
          "/_data/elem_dtype: MX elements that are not read: expected \"float8_e4m3fn\", "
          "\"float8_e5m2\" or \"float4_e2m1fn_x2\", found \"fp6_e2m3\"");
    change(folder, "elem_dtype", torch_type("float8_e5m2"));
    CHECK(folder.refusal().find("expected F8_E5M2, found F8_E4M3") != std::string::npos);
  }
}

TEST_CASE("shards of torchao that contradict each other are refused") {
  const TempDir folder;
  folder.write("config.json", R"({"quantization_config": {"quant_method": "torchao"}})");
  Json map;
  const auto shard = [&](const std::string& file, const std::string& tensor, const Json& text) {
    const std::vector<float> values = {1, 2};
    const loraproof::io::TensorView view{.name = tensor,
                                         .dtype = DType::F32,
                                         .shape = {2},
                                         .bytes = std::as_bytes(std::span(values))};
    std::filesystem::remove(folder.path() / file);
    loraproof::io::write_safetensors(
        folder.path() / file, std::vector{view},
        {{"tensor_names", R"(["a.bias", "b.bias"])"}, {"a.bias", text}, {"b.bias", text}});
    map[tensor] = file;
  };
  shard("1.safetensors", "a.bias", R"({"_type": "Tensor"})");
  shard("2.safetensors", "b.bias", R"({"_type": "Tensor"})");
  folder.write("model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  const std::string path = folder.path().string();
  CHECK(open_candidate(path).names().size() == 2);
  shard("2.safetensors", "b.bias", R"({"_type": "Float8Tensor"})");
  const auto detail = input_error_of([&] { (void)open_candidate(path); });
  CHECK(detail.message == "two shards describe a tensor differently");
  CHECK(detail.file == path + "/2.safetensors");
  CHECK(detail.where == "a.bias");
  CHECK(detail.expected == "the description in " + path + "/1.safetensors");
}

TEST_CASE("pickles of torchao are refused") {
  const TempDir folder;
  folder.write("config.json", R"({"quantization_config": {"quant_method": "torchao"}})");
  folder.write("pytorch_model.bin", "PK");
  const auto detail = input_error_of([&] { (void)open_candidate(folder.path().string()); });
  CHECK(detail.id == "base.pickle");
  CHECK(detail.hint.find("save_pretrained") != std::string::npos);
}
