// SPDX-License-Identifier: Apache-2.0
// Hand-packed GPTQ and AWQ layers, and what is wrong with broken ones.
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

constexpr std::uint16_t kHalf = 0x3800;     // 0.5 in F16
constexpr std::uint16_t kOne = 0x3c00;      // 1
constexpr std::uint16_t kThirdUp = 0x3d55;  // 1.3330078125
constexpr std::int64_t kOut = 8, kIn = 16;

std::uint32_t code(std::int64_t out, std::int64_t in) {
  return static_cast<std::uint32_t>((out * 3 + in * 5) % 16);
}
std::uint32_t zero(std::int64_t out, std::int64_t group) {
  return static_cast<std::uint32_t>((out + group * 7) % 16);
}
float scale(std::int64_t out, std::int64_t group) {
  return out == 3 ? 1.3330078125f : group == 0 ? 0.5f : 1.0f;
}
std::vector<std::uint16_t> scales() {
  std::vector<std::uint16_t> bits;
  for (std::int64_t g = 0; g < 2; ++g) {
    for (std::int64_t o = 0; o < kOut; ++o)
      bits.push_back(o == 3 ? kThirdUp : g == 0 ? kHalf : kOne);
  }
  return bits;
}

// `order[i]`: the group of input i.
CheckpointFolder gptq(const std::vector<std::int32_t>& order, bool second_version) {
  CheckpointFolder folder({{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 8}});
  if (second_version) folder.quantisation()["checkpoint_format"] = "gptq_v2";
  std::vector<std::uint32_t> codes(2 * kOut), zeros(2);
  for (std::int64_t i = 0; i < kIn; ++i) {
    for (std::int64_t o = 0; o < kOut; ++o) {
      codes[static_cast<std::size_t>(i / 8 * kOut + o)] |= code(o, i) << (4 * (i % 8));
    }
  }
  for (std::int64_t g = 0; g < 2; ++g) {
    std::uint32_t word = 0;
    for (std::int64_t o = 0; o < kOut; ++o) word |= zero(o, g) << (4 * o);
    // Version 1 keeps the word minus one in each field, borrows and all, as GPTQModel writes it.
    zeros[static_cast<std::size_t>(g)] = second_version ? word : word - 0x11111111u;
  }
  folder.tensor("m.qweight", DType::I32, {2, kOut}, codes);
  folder.tensor("m.qzeros", DType::I32, {2, 1}, zeros);
  folder.tensor("m.scales", DType::F16, {2, kOut}, scales());
  if (!order.empty()) folder.tensor("m.g_idx", DType::I32, {kIn}, order);
  return folder;
}

std::vector<std::int32_t> in_order() { return {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}; }
std::vector<std::int32_t> mixed_order() { return {1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1}; }

CheckpointFolder awq() {
  CheckpointFolder folder(
      {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 8}, {"version", "GEMM"}});
  const std::vector<std::int64_t> order = {0, 2, 4, 6, 1, 3, 5, 7};
  std::vector<std::uint32_t> codes(kIn), zeros(2);
  for (std::size_t k = 0; k < 8; ++k) {
    for (std::int64_t i = 0; i < kIn; ++i) {
      codes[static_cast<std::size_t>(i)] |= code(order[k], i) << (4 * k);
    }
    for (std::int64_t g = 0; g < 2; ++g) {
      zeros[static_cast<std::size_t>(g)] |= zero(order[k], g) << (4 * k);
    }
  }
  folder.tensor("m.qweight", DType::I32, {kIn, 1}, codes);
  folder.tensor("m.qzeros", DType::I32, {2, 1}, zeros);
  folder.tensor("m.scales", DType::F16, {2, kOut}, scales());
  return folder;
}

void check_values(CheckpointFolder folder, const std::vector<std::int32_t>& order) {
  const auto source = folder.open();
  const auto values = values_of(source, "m.weight");
  REQUIRE(values.size() == kOut * kIn);
  for (std::int64_t o = 0; o < kOut; ++o) {
    for (std::int64_t i = 0; i < kIn; ++i) {
      const std::int64_t group = order[static_cast<std::size_t>(i)];
      const float exact =
          (static_cast<float>(code(o, i)) - static_cast<float>(zero(o, group))) * scale(o, group);
      INFO(o << " " << i);
      // 11 bits of scale times 4 of code: rounded to F16 within half a step.
      CHECK(values[static_cast<std::size_t>(o * kIn + i)] == Approx(exact).epsilon(0x1p-11));
      if (o != 3) CHECK(values[static_cast<std::size_t>(o * kIn + i)] == exact);
    }
  }
}

}  // namespace

TEST_CASE("gptq of both versions by hand, with borrows in the zeros") {
  check_values(gptq(in_order(), false), in_order());
  check_values(gptq({}, false), in_order());
  check_values(gptq(in_order(), true), in_order());
  check_values(gptq(mixed_order(), true), mixed_order());
}

TEST_CASE("gptq says what is stored") {
  CheckpointFolder folder = gptq(mixed_order(), false);
  folder.tensor("m.bias", DType::F16, {kOut}, std::vector<std::uint16_t>(kOut, kOne));
  const auto source = folder.open();
  CHECK(source.method("m.weight") == "gptq int4 g8 act-order");
  CHECK(source.stored_bytes("m.weight") == 2 * kOut * 4 + 2 * 4 + 2 * kOut * 2 + kIn * 4);
  CHECK(std::vector(source.shape("m.weight").begin(), source.shape("m.weight").end()) ==
        std::vector<std::int64_t>{kOut, kIn});
  CHECK(std::vector(source.names().begin(), source.names().end()) ==
        std::vector<std::string>{"m.bias", "m.weight"});
  CHECK(values_of(source, "m.bias") == std::vector<float>(kOut, 1.0f));
}

TEST_CASE("gptq computes in the 16-bit type of the model") {
  CheckpointFolder folder = gptq(in_order(), true);
  const auto value = [&](const char* dtype) {
    folder.config()["torch_dtype"] = dtype;
    return values_of(folder.open(), "m.weight")[3 * kIn + 1];  // code 14, zero 3
  };
  CHECK(value("float16") == 14.6640625f);  // 11 * 1.3330078125 = 14.6630859375 in steps of 2^-7
  CHECK(value("bfloat16") == 14.6875f);    // 11 * 1.3359375 = 14.6953125 in steps of 2^-4
  CHECK(value("float32") == 14.6640625f);  // no 16-bit type: that of the scales
}

TEST_CASE("broken gptq layers are refused") {
  CheckpointFolder folder = gptq(in_order(), false);
  SECTION("no scales") {
    CHECK(folder.without("m.scales").refusal() ==
          "m.scales: a tensor of a quantised weight is missing: expected a tensor of this name, "
          "found nothing");
  }
  SECTION("scales alone") {
    CHECK(folder.without("m.qweight").refusal() ==
          "m.g_idx: part of a quantised weight without its codes: expected the codes beside it, "
          "found this tensor alone");
  }
  SECTION("group of an input") {
    auto order = in_order();
    order[5] = 2;
    folder.tensor("m.g_idx", DType::I32, {kIn}, order);
    CHECK(folder.refusal() ==
          "m.g_idx: group of an input does not exist: expected 0 to 1, found 2 at 5");
    order[5] = -1;
    folder.tensor("m.g_idx", DType::I32, {kIn}, order);
    CHECK(folder.refusal() ==
          "m.g_idx: group of an input does not exist: expected 0 to 1, found -1 at 5");
  }
  SECTION("length of g_idx") {
    folder.tensor("m.g_idx", DType::I32, {4}, std::vector<std::int32_t>(4));
    CHECK(folder.refusal() ==
          "m.g_idx: tensor of a quantised weight has the wrong shape: expected [16] (one group for "
          "each input), found [4]");
  }
  SECTION("packed shape") {
    folder.tensor("m.qweight", DType::I32, {2, 7}, std::vector<std::int32_t>(14));
    CHECK(folder.refusal() ==
          "m.qweight: tensor of a quantised weight has the wrong shape: expected [2, 8] (columns "
          "as in scales), found [2, 7]");
  }
  SECTION("packed zeros") {
    folder.tensor("m.qzeros", DType::I32, {2, 2}, std::vector<std::int32_t>(4));
    CHECK(folder.refusal() ==
          "m.qzeros: tensor of a quantised weight has the wrong shape: expected 1 columns (8 "
          "outputs of 4 bits), found [2, 2]");
  }
  SECTION("group size") {
    folder.quantisation()["group_size"] = 4;
    CHECK(folder.refusal() ==
          "m.scales: groups do not divide the inputs: expected 4 groups of 4 for 16 inputs, found "
          "2 groups");
  }
  SECTION("bits and layout") {
    folder.quantisation()["bits"] = 3;
    CHECK(folder.refusal() ==
          "/quantization_config/bits: bits of GPTQ that are not read: expected 2, 4 or 8, found 3");
    folder.quantisation()["bits"] = 4;
    folder.quantisation()["checkpoint_format"] = "marlin";
    CHECK(folder.refusal() ==
          "/quantization_config/checkpoint_format: layout of GPTQ that is not read: expected "
          "\"gptq\" or \"gptq_v2\", found \"marlin\"");
  }
  SECTION("type") {
    folder.tensor("m.qweight", DType::F32, {2, kOut}, std::vector<float>(2 * kOut));
    CHECK(folder.refusal() ==
          "m.qweight: tensor of a quantised weight has the wrong type: expected I32, found F32");
  }
  SECTION("a plain weight beside it") {
    folder.tensor("m.weight", DType::F16, {kOut, kIn}, std::vector<std::uint16_t>(kOut * kIn));
    CHECK(
        folder.refusal() ==
        "m.weight: two stored weights stand for one: expected one weight of this name, found two");
  }
}

TEST_CASE("awq by hand") { check_values(awq(), in_order()); }

TEST_CASE("broken awq layers are refused") {
  CheckpointFolder folder = awq();
  SECTION("layout") {
    folder.quantisation()["version"] = "gemv";
    CHECK(folder.refusal() ==
          "/quantization_config/version: layout of AWQ that is not read: expected \"gemm\", found "
          "\"gemv\"");
  }
  SECTION("bits") {
    folder.quantisation()["bits"] = 8;
    CHECK(folder.refusal() ==
          "/quantization_config/bits: bits of AWQ that are not read: expected 4, found 8");
  }
  SECTION("group size") {
    folder.quantisation()["group_size"] = 12;
    CHECK(folder.refusal() ==
          "m.scales: groups do not divide the inputs: expected groups of 12 for 16 inputs, found 2 "
          "groups");
  }
  SECTION("zeros") {
    folder.tensor("m.qzeros", DType::I32, {1, 1}, std::vector<std::int32_t>(1));
    CHECK(folder.refusal() ==
          "m.qzeros: tensor of a quantised weight has the wrong shape: expected [2, 1] (rows of "
          "scales, an eighth of its columns), found [1, 1]");
  }
}
