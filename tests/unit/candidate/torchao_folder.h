// SPDX-License-Identifier: Apache-2.0
// Checkpoints of one weight, "m.weight", as torchao lays out each of its classes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "unit/candidate/checkpoint_folder.h"

namespace loraproof::test {

inline Json torch_type(const std::string& name) {
  return {{"_type", "torch.dtype"}, {"_data", name}};
}

inline Json description(const std::string& type, const Json& data,
                        const std::vector<std::string>& parts) {
  return {{"_type", type}, {"_data", data}, {"_tensor_data_names", parts}};
}

// What the header says of `name` from now on.
inline void describe(CheckpointFolder& folder, const std::string& name, const Json& text) {
  auto& metadata = folder.metadata();
  Json names = Json::array();
  if (metadata.contains("tensor_names")) names = Json::parse(metadata["tensor_names"]);
  if (!metadata.contains(name)) names.push_back(name);
  metadata["tensor_names"] = names.dump();
  metadata[name] = text.is_string() ? text.get<std::string>() : text.dump();
}

inline CheckpointFolder empty_folder() {
  return CheckpointFolder(Json{{"quant_method", "torchao"}});
}

inline Json float8_data(const Json& block) {
  return {{"block_size", block},
          {"mm_config", nullptr},
          {"act_quant_kwargs", nullptr},
          {"kernel_preference", {{"_type", "KernelPreference"}, {"_data", "AUTO"}}},
          {"dtype", torch_type("float32")}};
}

// [2, 4] of 1, 2, -1, 448 in E4M3, a scale for each row.
inline CheckpointFolder float8() {
  CheckpointFolder folder = empty_folder();
  folder.tensor("m._weight_qdata", io::DType::F8E4M3, {2, 4},
                std::vector<std::uint8_t>{0x38, 0x40, 0xb8, 0x7e, 0x38, 0x40, 0xb8, 0x7e});
  folder.tensor("m._weight_scale", io::DType::F32, {2, 1}, std::vector<float>{0.5f, 2.00390625f});
  describe(folder, "m.weight",
           description("Float8Tensor", float8_data({1, 4}), {"qdata", "scale"}));
  return folder;
}

inline void change(CheckpointFolder& folder, const std::string& key, const Json& value) {
  Json text = Json::parse(folder.metadata()["m.weight"]);
  text["_data"][key] = value;
  describe(folder, "m.weight", text);
}

// [2, 4] of bytes -2 to 5 in groups of two.
inline CheckpointFolder affine(const std::string& type) {
  CheckpointFolder folder = empty_folder();
  folder.tensor("m._weight_qdata", io::DType::I8, {2, 4},
                std::vector<std::int8_t>{-2, -1, 0, 1, 2, 3, 4, 100});
  folder.tensor("m._weight_scale", io::DType::F32, {2, 2}, std::vector<float>{1, 2, 0.5f, 1});
  folder.tensor("m._weight_zero_point", io::DType::I8, {2, 2},
                std::vector<std::int8_t>{0, 1, -1, -2});
  const Json data = {{"block_size", {1, 2}},
                     {"dtype", torch_type("float32")},
                     {"target_dtype", torch_type("int8")},
                     {"activation_quantization", nullptr},
                     {"act_quant_kwargs", nullptr},
                     {"reduce_range", false}};
  describe(folder, "m.weight", description(type, data, {"qdata", "scale", "zero_point"}));
  return folder;
}

// [2, 4] of codes -8, -1, 0, 7 and their opposites but one, in groups of two.
inline CheckpointFolder int4() {
  CheckpointFolder folder = empty_folder();
  folder.tensor("m._weight_qdata", io::DType::I8, {2, 2},
                std::vector<std::uint8_t>{0xf8, 0x70, 0x17, 0x90});
  folder.tensor("m._weight_scale", io::DType::F32, {2, 2}, std::vector<float>{1, 2, 0.5f, 4});
  folder.tensor("m._weight_zero_point", io::DType::F32, {2, 2}, std::vector<float>{0, 1, 10, 0});
  const Json data = {{"block_size", {1, 2}}, {"shape", {2, 4}}, {"activation_dtype", nullptr}};
  describe(folder, "m.weight", description("Int4Tensor", data, {"qdata", "scale", "zero_point"}));
  return folder;
}

// [130, 160] of ones whose block (i, j) has the E4M3 code (i + j) % 126 + 1, in tiles.
inline CheckpointFolder swizzled() {
  constexpr std::size_t kRows = 130, kBlocks = 10, kTilesAcross = 3, kTiles = 2 * kTilesAcross;
  CheckpointFolder folder = empty_folder();
  folder.tensor("m._weight_qdata", io::DType::U8, {130, 80},
                std::vector<std::uint8_t>(kRows * 80, 0x22));
  std::vector<std::uint8_t> scales;
  for (std::size_t tile = 0; tile < kTiles; ++tile) {
    for (std::size_t stripe = 0; stripe < 32; ++stripe) {
      for (std::size_t at = 0; at < 16; ++at) {
        const std::size_t i = tile / kTilesAcross * 128 + at / 4 * 32 + stripe;
        const std::size_t j = tile % kTilesAcross * 4 + at % 4;
        const bool inside = i < kRows && j < kBlocks;
        scales.push_back(static_cast<std::uint8_t>(inside ? (i + j) % 126 + 1 : 0));
      }
    }
  }
  folder.tensor("m._weight_scale", io::DType::F8E4M3, {64, 48}, scales);
  folder.tensor("m._weight_per_tensor_scale", io::DType::F32, {}, std::vector<float>{0.5f});
  const Json data = {{"block_size", 16},
                     {"orig_dtype", torch_type("float32")},
                     {"is_swizzled_scales", true},
                     {"use_triton_kernel", false},
                     {"act_quant_kwargs", nullptr}};
  describe(folder, "m.weight",
           description("NVFP4Tensor", data, {"per_tensor_scale", "qdata", "scale"}));
  return folder;
}

// [1, 96]: E4M3 ones, exponents 0, 1 and NaN.
inline CheckpointFolder mx() {
  CheckpointFolder folder = empty_folder();
  folder.tensor("m._weight_qdata", io::DType::F8E4M3, {1, 96}, std::vector<std::uint8_t>(96, 0x38));
  folder.tensor("m._weight_scale", io::DType::F8E8M0, {1, 3},
                std::vector<std::uint8_t>{0, 128, 255});
  const Json data = {{"elem_dtype", torch_type("float8_e4m3fn")},
                     {"block_size", 32},
                     {"orig_dtype", torch_type("float32")},
                     {"is_swizzled_scales", false}};
  describe(folder, "m.weight", description("MXTensor", data, {"qdata", "scale"}));
  return folder;
}

}  // namespace loraproof::test
