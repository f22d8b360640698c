// SPDX-License-Identifier: Apache-2.0
// NVFP4 and MX weights of torchao, for a linear layer [out, in]:
//   NVFP4Tensor: qdata U8 [out, in/2] of E2M1 (low nibble first), scale F8_E4M3 for each 16 inputs,
//     per_tensor_scale F32. Value: code · (per_tensor_scale · scale) in float32
//   MXTensor: qdata F8_E4M3, F8_E5M2 or U8 (E2M1), scale F8_E8M0 for each 32 inputs.
//     Value: code · 2^(exponent - 127); 255 is NaN
// Values are rounded to orig_dtype. Scales lie in rows [out, in/block] or, with is_swizzled_scales,
// in tiles of 128 x 4 as cuBLAS takes them: a tile is 32 rows of 16, and row r of it holds the four
// scales of rows r, r + 32, r + 64 and r + 96. Source: torchao 0.18 prototype/mx_formats
// (nvfp4_tensor.py, mx_tensor.py: to_dtype, utils.py: from_blocked).
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "loraproof/candidate/torchao_weight.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/narrow.h"
#include "loraproof/io/small_floats.h"

namespace loraproof::candidate {
namespace {

using io::DType;
using io::TensorView;

constexpr std::int64_t kTileRows = 128;
constexpr std::int64_t kTileColumns = 4;
constexpr std::int64_t kTile = kTileRows * kTileColumns;
constexpr std::int64_t kStripe = 32;  // Rows of a tile as it is stored.

std::int64_t tiles(std::int64_t size, std::int64_t tile) { return (size + tile - 1) / tile; }

// Where a matrix of scales has its element (i, j).
struct ScalePlace {
  std::int64_t columns = 0;
  bool swizzled = false;

  std::int64_t operator()(std::int64_t i, std::int64_t j) const {
    if (!swizzled) return i * columns + j;
    const std::int64_t tile = i / kTileRows * tiles(columns, kTileColumns) + j / kTileColumns;
    const std::int64_t row = i % kTileRows;
    return tile * kTile + row % kStripe * (kTile / kStripe) + row / kStripe * kTileColumns +
           j % kTileColumns;
  }
};

struct Microscaled {
  std::vector<std::int64_t> shape;
  ScaledCodes matrix;
  ScalePlace place;
};

std::int64_t block_of(const TorchaoWeight& weight) {
  const std::int64_t block = weight.data().integer("block_size");
  if (block >= 1 && block <= 4096) return block;
  throw weight.data().error("block_size", "value out of range", "1 to 4096",
                            fmt::format("{}", block), kDescriptionHint);
}

// How the scales lie, which is checked.
Microscaled lay_out(const TorchaoWeight& weight, const TensorView& codes, const TensorView& scale,
                    bool packed) {
  Microscaled made{.shape = codes.shape};
  if (packed) made.shape.back() *= 2;
  std::vector<std::int64_t> block(made.shape.size(), 1);
  block.back() = block_of(weight);
  made.matrix = weight.blocked(made.shape, block);
  made.matrix.result = weight.float_type("orig_dtype");
  made.place = {.columns = made.matrix.grid_columns(),
                .swizzled = weight.data().boolean_or("is_swizzled_scales", false)};
  auto expected = grid_of(made.shape, block);
  std::string why = fmt::format("one for each {} values of a row", block.back());
  if (made.place.swizzled) {
    std::int64_t& rows = expected[expected.size() - 2];
    // Tiles go on from one stacked matrix to the next.
    if (rows != made.matrix.out && rows % kTileRows != 0) {
      throw weight.data().error("is_swizzled_scales", "tiles of scales span stacked weights",
                                "rows that are a multiple of 128", fmt::format("{} rows", rows),
                                kDescriptionHint);
    }
    rows = tiles(rows, kTileRows) * kStripe;
    expected.back() = tiles(expected.back(), kTileColumns) * (kTile / kStripe);
    why += ", in tiles of 128 x 4";
  }
  weight.reading().expect_shape(scale, expected, why);
  return made;
}

std::function<void(std::int64_t, float*)> e2m1_codes(const TensorView& codes) {
  return [&codes, bytes = codes.shape.back()](std::int64_t row, float* out) {
    for (std::int64_t c = 0; c < bytes; ++c) {
      const auto byte = load<std::uint8_t>(codes.bytes, row * bytes + c);
      *out++ = io::e2m1_value(byte);
      *out++ = io::e2m1_value(byte >> 4);
    }
  };
}

float power_of_two(std::uint8_t exponent) {
  if (exponent == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0f, static_cast<int>(exponent) - 127);
}

}  // namespace

void read_torchao_nvfp4(Reading& reading, const TorchaoTensor& tensor) {
  TorchaoWeight weight(
      reading, tensor,
      {.required = {"qdata", "scale"}, .optional = {"per_tensor_scale", "act_per_tensor_scale"}});
  const TensorView& codes = weight.codes({DType::U8});
  const TensorView& scale = weight.part("scale", {DType::F8E4M3});
  const TensorView* whole = weight.find_part("per_tensor_scale", {DType::F32});
  const TensorView* of_inputs = weight.find_part("act_per_tensor_scale", {DType::F32});
  Microscaled made = lay_out(weight, codes, scale, true);
  // One for all, or one for each of stacked weights: [E, 1, 1].
  const std::int64_t rows = made.shape[made.shape.size() - 2];
  const bool each = whole != nullptr && whole->shape.size() == 3;
  if (each) {
    reading.expect_shape(*whole, std::vector<std::int64_t>{made.matrix.out / rows, 1, 1},
                         "one for each of the stacked weights");
  } else if (whole != nullptr) {
    reading.expect_shape(*whole, {}, "one for the weight");
  }
  made.matrix.codes = e2m1_codes(codes);
  made.matrix.scale = [&scale, whole, place = made.place, rows = each ? rows : 0](std::int64_t i,
                                                                                  std::int64_t j) {
    const float of_block = io::e4m3_value(load<std::uint8_t>(scale.bytes, place(i, j)));
    if (whole == nullptr) return of_block;
    return float_at(*whole, rows == 0 ? 0 : i / rows) * of_block;
  };
  weight.add(made.matrix, made.shape, "nvfp4", {&codes, &scale, whole, of_inputs});
}

void read_torchao_mx(Reading& reading, const TorchaoTensor& tensor) {
  TorchaoWeight weight(reading, tensor, {.required = {"qdata", "scale"}});
  const Json* written = weight.data().find("elem_dtype");
  // The six-bit types are no types of torch: torchao names them by plain strings.
  const std::string type = written != nullptr && written->is_string()
                               ? written->get<std::string>()
                               : weight.type_name("elem_dtype");
  const bool packed = type == "float4_e2m1fn_x2";
  if (!packed && type != "float8_e4m3fn" && type != "float8_e5m2") {
    throw weight.data().error("elem_dtype", "MX elements that are not read",
                              "\"float8_e4m3fn\", \"float8_e5m2\" or \"float4_e2m1fn_x2\"",
                              brief(Json(type)), "quantise to MXFP8 or MXFP4");
  }
  const TensorView& codes = weight.codes({packed                  ? DType::U8
                                          : type == "float8_e5m2" ? DType::F8E5M2
                                                                  : DType::F8E4M3});
  const TensorView& scale = weight.part("scale", {DType::F8E8M0});
  Microscaled made = lay_out(weight, codes, scale, packed);
  made.matrix.codes = packed ? e2m1_codes(codes) : byte_codes(codes);
  made.matrix.scale = [&scale, place = made.place, result = made.matrix.result](std::int64_t i,
                                                                                std::int64_t j) {
    return io::rounded_to(result, power_of_two(load<std::uint8_t>(scale.bytes, place(i, j))));
  };
  const char* method = packed ? "mxfp4" : type == "float8_e5m2" ? "mxfp8 e5m2" : "mxfp8";
  weight.add(made.matrix, made.shape, method, {&codes, &scale});
}

}  // namespace loraproof::candidate
