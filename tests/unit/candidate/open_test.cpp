// SPDX-License-Identifier: Apache-2.0
// Which reader a path gets, plain weights, and how a source answers.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.h"
#include "unit/candidate/checkpoint_folder.h"

using loraproof::Json;
using loraproof::candidate::open_candidate;
using loraproof::io::DType;
using loraproof::test::CheckpointFolder;
using loraproof::test::input_error_of;
using loraproof::test::TempDir;
using loraproof::test::values_of;

namespace {

CheckpointFolder plain() {
  CheckpointFolder folder(nullptr);
  folder.tensor("a.weight", DType::F32, {2, 2}, std::vector<float>{1, 2, 3, 4});
  folder.tensor("b.weight", DType::BF16, {1, 2}, std::vector<std::uint16_t>{0x3f80, 0xc000});
  folder.tensor("c.bias", DType::F16, {2}, std::vector<std::uint16_t>{0x3c00, 0x0001});
  folder.tensor("d.weight", DType::F64, {1, 1}, std::vector<double>{0.1});
  folder.tensor("e.masked_bias", DType::Bool, {1}, std::vector<std::uint8_t>{1});
  folder.tensor("f.weight", DType::F32, {2, 2, 2}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  folder.tensor("g.scale", DType::F32, {}, std::vector<float>{9});
  return folder;
}

}  // namespace

TEST_CASE("a folder without quantization_config has plain weights") {
  CheckpointFolder folder = plain();
  folder.config()["model_type"] = "llama";
  const auto source = folder.open();
  CHECK(source.about().scheme == "none");
  CHECK(source.about().config["model_type"] == "llama");
  CHECK(std::vector(source.names().begin(), source.names().end()) ==
        std::vector<std::string>{"a.weight", "b.weight", "c.bias", "d.weight", "f.weight",
                                 "g.scale"});
  CHECK(source.method("b.weight") == "bf16");
  CHECK(source.stored_bytes("a.weight") == 16);
  CHECK(values_of(source, "a.weight") == std::vector<float>{1, 2, 3, 4});
  CHECK(values_of(source, "b.weight") == std::vector<float>{1, -2});
  CHECK(values_of(source, "c.bias") == std::vector<float>{1, 0x1p-24f});
  CHECK(values_of(source, "d.weight") == std::vector<float>{0.1f});
  CHECK(source.row_count("f.weight") == 4);
  CHECK(values_of(source, "f.weight")[7] == 8);
  CHECK(values_of(source, "g.scale") == std::vector<float>{9});
  source.done_with("a.weight");
  CHECK(values_of(source, "a.weight") == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("a name that is not there is an input error with the nearest one") {
  CheckpointFolder folder = plain();
  const auto source = folder.open();
  CHECK(input_error_of([&] { (void)source.method("a.weigth"); }).hint == "the nearest is a.weight");
}

TEST_CASE("rows outside a weight are our own mistake") {
  CheckpointFolder folder = plain();
  const auto source = folder.open();
  std::vector<float> out(2);
  const auto kind = [&](std::int64_t first, std::int64_t count) {
    try {
      source.rows("a.weight", first, count, out);
    } catch (const loraproof::Error& error) {
      return error.kind();
    }
    return loraproof::ErrorKind::Input;
  };
  CHECK(kind(2, 1) == loraproof::ErrorKind::Internal);
  CHECK(kind(-1, 1) == loraproof::ErrorKind::Internal);
  CHECK(kind(0, 2) == loraproof::ErrorKind::Internal);
  CHECK_NOTHROW(source.rows("a.weight", 2, 0, {}));
}

TEST_CASE("rows may be asked for from several threads") {
  const auto source =
      open_candidate(LORAPROOF_SOURCE_DIR "/tests/fixtures/candidates/gptq-act-order");
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const std::vector<float> expected = values_of(source, name);
  std::atomic<int> equal = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      std::vector<float> values(expected.size());
      source.rows(name, 0, source.row_count(name), values);
      equal += values == expected ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(equal == 4);
}

TEST_CASE("methods that are not read are refused by name") {
  CheckpointFolder folder = plain();
  folder.quantisation() = {{"quant_method", "aqlm"}};
  CHECK(folder.refusal() ==
        "/quantization_config/quant_method: quantisation method is not read: expected gguf files, "
        "gptq, awq, compressed-tensors, bitsandbytes, fp8, torchao, found \"aqlm\"");
  folder.quantisation() = Json::object();
  CHECK(folder.refusal().find("/quantization_config/quant_method: ") == 0);
  folder.quantisation() = 3;
  CHECK(folder.refusal().find("/quantization_config: ") == 0);
}

TEST_CASE("packed weights without a quantization_config are refused") {
  CheckpointFolder folder = plain();
  folder.tensor("h.weight", DType::U8, {2, 1}, std::vector<std::uint8_t>{1, 2});
  CHECK(
      folder.refusal() ==
      "h.weight: weight is stored in a type that says nothing without a scale: expected F32, F16, "
      "BF16, or the scales of a quantised weight, found U8");
}

TEST_CASE("paths that are no candidate are refused") {
  const TempDir folder;
  CHECK(input_error_of([&] { (void)open_candidate("/no/such/folder"); }).message ==
        "no such folder");
  const std::string empty = folder.write("empty.gguf", "").string();
  CHECK(input_error_of([&] { (void)open_candidate(empty); }).message == "not a GGUF file");
  const std::string other = folder.write("model.bin", "PK").string();
  CHECK(input_error_of([&] { (void)open_candidate(other); }).hint ==
        "pickle is refused: save the model as safetensors and pass that folder");
  CHECK(input_error_of([&] { (void)open_candidate(folder.path().string()); }).file ==
        (folder.path() / "config.json").string());
}
