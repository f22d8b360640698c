// SPDX-License-Identifier: Apache-2.0
// Any text as torchao's description of a weight, beside parts of its classes (the first byte says
// which). What opens can be decoded whole.
#include <array>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz.h"
#include "loraproof/candidate/weight_source.h"
#include "loraproof/core/json.h"
#include "support/temp_dir.h"

namespace {

using loraproof::Json;

struct Part {
  const char* name;
  const char* dtype;
  std::vector<int> shape;
  int bytes;
};

// Parts of "m.weight"; its codes are [4, 64] or two of them.
const std::array<std::vector<Part>, 6>& layouts() {
  static const std::array<std::vector<Part>, 6> kLayouts = {
      std::vector<Part>{{"qdata", "F8_E4M3", {4, 64}, 256}, {"scale", "F32", {4, 1}, 16}},
      std::vector<Part>{{"qdata", "I8", {2, 4, 64}, 512},
                        {"scale", "BF16", {2, 4, 4}, 64},
                        {"zero_point", "I8", {2, 4, 4}, 32}},
      std::vector<Part>{{"qdata", "I8", {4, 32}, 128},
                        {"scale", "F32", {2, 4}, 32},
                        {"zero_point", "F32", {2, 4}, 32}},
      std::vector<Part>{{"qdata", "U8", {4, 32}, 128},
                        {"scale", "F8_E4M3", {32, 16}, 512},
                        {"per_tensor_scale", "F32", {}, 4}},
      std::vector<Part>{{"qdata", "U8", {2, 4, 32}, 256},
                        {"scale", "F8_E4M3", {2, 4, 4}, 32},
                        {"per_tensor_scale", "F32", {2, 1, 1}, 8}},
      std::vector<Part>{{"qdata", "F8_E5M2", {4, 64}, 256}, {"scale", "F8_E8M0", {4, 2}, 8}}};
  return kLayouts;
}

// A file whose data are its own offsets.
std::string image(const std::vector<Part>& parts, std::string_view description) {
  Json header = {{"__metadata__",
                  {{"tensor_names", R"(["m.weight"])"}, {"m.weight", std::string(description)}}}};
  int end = 0;
  for (const Part& part : parts) {
    header[std::string("m._weight_") + part.name] = {
        {"dtype", part.dtype}, {"shape", part.shape}, {"data_offsets", {end, end + part.bytes}}};
    end += part.bytes;
  }
  const std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(text.size() >> (8 * i) & 0xff);
  bytes += text;
  for (int i = 0; i < end; ++i) bytes += static_cast<char>(i);
  return bytes;
}

const std::filesystem::path& folder() {
  static const loraproof::test::TempDir kFolder;
  static const std::filesystem::path kPath =
      kFolder.write("config.json", R"({"quantization_config": {"quant_method": "torchao"}})")
          .parent_path();
  return kPath;
}

void check(const std::string& bytes) {
  std::ofstream(folder() / "model.safetensors", std::ios::binary) << bytes;
  loraproof::fuzz::only_input_errors([&] {
    const auto source = loraproof::candidate::open_candidate(folder().string());
    for (const std::string& name : source.names()) {
      std::vector<float> out(
          static_cast<std::size_t>(source.row_count(name) * source.row_length(name)));
      source.rows(name, 0, source.row_count(name), out);
    }
  });
}

// A seed: a layout, and a description that fits it.
std::string seed(int layout, const char* type, const char* data, const char* parts) {
  return static_cast<char>('0' + layout) + std::string(R"({"_type": ")") + type +
         R"(", "_data": {)" + data + R"(}, "_tensor_data_names": [)" + parts + "]}";
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  const std::string bf16 = R"("dtype": {"_type": "torch.dtype", "_data": "bfloat16"})";
  const std::string of_block = R"("block_size": [1, 1, 16], )" + bf16;
  const std::string microscaled = R"("orig_)" + bf16.substr(1) + R"(, "block_size": 16)";
  const std::string mx = R"("orig_)" + bf16.substr(1) + R"(, "block_size": 32, "elem_dtype": )" +
                         R"({"_type": "torch.dtype", "_data": "float8_e5m2"})";
  const char* affine = R"("qdata", "scale", "zero_point")";
  const char* whole = R"("qdata", "scale", "per_tensor_scale")";
  return {
      .seeds = {seed(0, "Float8Tensor", (R"("block_size": [1, 64], )" + bf16).c_str(),
                     R"("qdata", "scale")"),
                seed(1, "Int8Tensor", of_block.c_str(), affine),
                seed(1, "IntxUnpackedToInt8Tensor",
                     (of_block + R"(, "target_dtype": {"_type": "torch.dtype", "_data": "int4"})")
                         .c_str(),
                     affine),
                seed(2, "Int4Tensor", R"("block_size": [1, 32], "shape": [4, 64])", affine),
                seed(3, "NVFP4Tensor", (microscaled + R"(, "is_swizzled_scales": true)").c_str(),
                     whole),
                seed(4, "NVFP4Tensor", microscaled.c_str(), whole),
                seed(5, "MXTensor", mx.c_str(), R"("qdata", "scale")")},
      .dictionary = {"null", "[]", "[1, 64]", "[4, 64]", "[2, 4, 64]", "[1, 4, 1]", "0", "-1",
                     "\"float16\"", "\"float32\"", "\"float4_e2m1fn_x2\"", "\"_data\"", "true",
                     "\"act_pre_scale\"", "\"Tensor\"", "9223372036854775807"}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = loraproof::fuzz::as_text(data, size);
  if (text.empty()) return 0;
  const auto layout = static_cast<unsigned char>(text[0] - '0') % layouts().size();
  check(image(layouts()[layout], text.substr(1)));
  return 0;
}
