// SPDX-License-Identifier: Apache-2.0
// torchao as transformers saves it: what stands in the header (torchao_header.h) says the class of
// each weight; a part `p` of "m.weight" is "m._weight_p". For a linear layer [out, in]:
//   Float8Tensor: qdata F8_E4M3 or F8_E5M2 [out, in], scale F32 for each block of block_size: row,
//     tensor, 128 x 128. Value: code · scale in float32
//   Int8Tensor: qdata I8, scale, zero_point I8. IntxUnpackedToInt8Tensor: the same with codes of 1
//     to 8 bits, scales of the weight's type and zero points that may be floats.
//     Value: (code - zero) in the type `dtype`, times scale
//   Int4Tensor: qdata I8 [out, in/2] of signed codes, the low nibble first, scale and zero_point
//     [in/group, out]. Value: (code + 8) · scale + (zero - 8 · scale) in float32
//   NVFP4Tensor, MXTensor: torchao_microscaling.cpp
// Each is rounded to `dtype`, Int4Tensor to the type of its scales. Sources: torchao 0.18
// quantization/quantize_/workflows (dequantize of each class) and quant_primitives.py. Int4Tensor
// has no dequantize: its value is that of prototype/gptq/api.py, CUDA kernels may round otherwise.
//
// Inputs: dynamic, symmetric and by token (act_quant_kwargs with PerRow). Asymmetric, static, FP4
// and MX inputs stay in 16 bit.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>
#include <vector>

#include "loraproof/candidate/torchao_weight.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/narrow.h"

namespace loraproof::candidate {
namespace {

using io::DType;
using io::TensorView;

constexpr auto kFloats = {DType::F32, DType::F16, DType::BF16};

bool is_one_value(const TensorView& view, const std::vector<std::int64_t>& grid) {
  return view.numel() == 1 &&
         std::ranges::all_of(grid, [](std::int64_t size) { return size == 1; });
}

std::vector<std::int64_t> without_ones(std::vector<std::int64_t> shape) {
  std::erase(shape, 1);
  return shape;
}

std::string shared_by(const std::vector<std::int64_t>& block) {
  return fmt::format("one for each {}", io::shape_text(block));
}

// Of a scale whose block_size is not written: the whole weight, or what its shape says.
std::vector<std::int64_t> implied_block(const Reading& reading, const TensorView& codes,
                                        const TensorView& scale) {
  if (scale.numel() == 1) return codes.shape;
  bool fits = scale.shape.size() == codes.shape.size();
  std::vector<std::int64_t> block;
  for (std::size_t i = 0; fits && i < codes.shape.size(); ++i) {
    fits = scale.shape[i] > 0 && codes.shape[i] % scale.shape[i] == 0;
    if (fits) block.push_back(codes.shape[i] / scale.shape[i]);
  }
  if (fits) return block;
  throw reading.error(
      scale, "tensor of a quantised weight has the wrong shape",
      fmt::format("one scale, or sizes that divide {}", io::shape_text(codes.shape)),
      io::shape_text(scale.shape), kDescriptionHint);
}

void read_float8(Reading& reading, const TorchaoTensor& tensor) {
  TorchaoWeight weight(reading, tensor, {.required = {"qdata", "scale"}});
  const TensorView& codes = weight.codes({DType::F8E4M3, DType::F8E5M2});
  const TensorView& scale = weight.part("scale", kFloats);
  std::vector<std::int64_t> block;
  if (weight.data().has("block_size")) block = weight.sizes("block_size");
  if (block.empty()) block = implied_block(reading, codes, scale);
  ScaledCodes matrix = weight.blocked(codes.shape, block);
  const auto grid = grid_of(codes.shape, block);
  if (!is_one_value(scale, grid)) reading.expect_shape(scale, grid, shared_by(block));
  matrix.codes = byte_codes(codes);
  matrix.result = weight.float_type("dtype");
  matrix.scale = [&scale, columns = matrix.grid_columns()](std::int64_t i, std::int64_t j) {
    return float_at(scale, i * columns + j);
  };
  const char* type = codes.dtype == DType::F8E4M3 ? "float8" : "float8 e5m2";
  weight.add(matrix, codes.shape, fmt::format("{} {}", type, layout_name(matrix)),
             {&codes, &scale});
}

// dequantize_affine: what Int8Tensor and IntxUnpackedToInt8Tensor have in common.
void add_affine(TorchaoWeight& weight, const std::string& bits, const TensorView* zero,
                const TensorView* scale_of_inputs = nullptr,
                const TensorView* zero_of_inputs = nullptr) {
  const TensorView& codes = weight.codes({DType::I8});
  const TensorView& scale = weight.part("scale", kFloats);
  const auto block = weight.sizes("block_size");
  ScaledCodes matrix = weight.blocked(codes.shape, block);
  const auto grid = grid_of(codes.shape, block);
  // It views them as the grid, so that sizes of 1 do not matter.
  for (const TensorView* one : {&scale, zero}) {
    if (one == nullptr || without_ones(one->shape) == without_ones(grid)) continue;
    weight.reading().expect_shape(*one, grid, shared_by(block));
  }
  const std::int64_t columns = matrix.grid_columns();
  matrix.codes = byte_codes(codes);
  matrix.result = matrix.difference = weight.float_type("dtype");
  matrix.scale = [&scale, columns](std::int64_t i, std::int64_t j) {
    return float_at(scale, i * columns + j);
  };
  if (zero != nullptr) {
    matrix.zero = [zero, columns, type = matrix.result](std::int64_t i, std::int64_t j) {
      if (zero->dtype == DType::I8) {
        return static_cast<float>(load<std::int8_t>(zero->bytes, i * columns + j));
      }
      return io::rounded_to(type, float_at(*zero, i * columns + j));
    };
  }
  weight.add(matrix, codes.shape, fmt::format("{} {}", bits, layout_name(matrix)),
             {&codes, &scale, zero, scale_of_inputs, zero_of_inputs});
}

void read_int8(Reading& reading, const TorchaoTensor& tensor) {
  TorchaoWeight weight(reading, tensor,
                       {.required = {"qdata", "scale"},
                        .optional = {"zero_point", "act_quant_scale", "act_quant_zero_point"}});
  add_affine(weight, "int8", weight.find_part("zero_point", {DType::I8}),
             weight.find_part("act_quant_scale", kFloats),
             weight.find_part("act_quant_zero_point", {DType::I8}));
}

void read_intx(Reading& reading, const TorchaoTensor& tensor) {
  TorchaoWeight weight(reading, tensor, {.required = {"qdata", "scale", "zero_point"}});
  constexpr std::array<std::string_view, 8> kTypes = {"int1", "int2", "int3", "int4",
                                                      "int5", "int6", "int7", "int8"};
  const std::string type = weight.type_name("target_dtype");
  if (std::ranges::find(kTypes, type) == kTypes.end()) {
    throw weight.data().error("target_dtype", "unknown type of codes", "\"int1\" to \"int8\"",
                              brief(Json(type)), kDescriptionHint);
  }
  add_affine(weight, type,
             &weight.part("zero_point", {DType::I8, DType::F32, DType::F16, DType::BF16}));
}

// Packed signed codes of 4 bits with scales and zeros across.
struct Int4Layer {
  const TensorView* codes = nullptr;
  const TensorView* scale = nullptr;
  const TensorView* zero = nullptr;
  std::int64_t out = 0;  // Of one matrix where several are stacked.
  std::int64_t in = 0;
  std::int64_t group = 0;
};

void decode(const Int4Layer& layer, std::int64_t first, std::int64_t count, float* out) {
  const std::int64_t groups = layer.in / layer.group;
  for (std::int64_t row = first; row < first + count; ++row) {
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t at = (row / layer.out * groups + g) * layer.out + row % layer.out;
      const float scale = float_at(*layer.scale, at);
      const float lowest = float_at(*layer.zero, at) - scale * 8.0f;
      for (std::int64_t c = g * layer.group; c < (g + 1) * layer.group; ++c) {
        const auto byte = load<std::uint8_t>(layer.codes->bytes, (row * layer.in + c) / 2);
        const auto step = static_cast<float>(((c % 2 == 0 ? byte : byte >> 4) & 15) ^ 8);  // code+8
        *out++ = io::rounded_to(layer.scale->dtype, step * scale + lowest);
      }
    }
  }
}

void read_int4(Reading& reading, const TorchaoTensor& tensor) {
  TorchaoWeight weight(reading, tensor, {.required = {"qdata", "scale", "zero_point"}});
  const TensorView& codes = weight.codes({DType::I8, DType::U8});
  const TensorView& scale = weight.part("scale", kFloats);
  const TensorView& zero = weight.part("zero_point", {scale.dtype});
  const auto shape = weight.sizes("shape");
  auto packed = shape;
  if (!packed.empty()) packed.back() /= 2;
  if (packed != codes.shape || shape.back() % 2 != 0) {
    throw weight.data().error("shape", "codes do not fit the shape of the weight",
                              "twice the columns of qdata " + io::shape_text(codes.shape),
                              io::shape_text(shape), kDescriptionHint);
  }
  const auto block = weight.sizes("block_size");
  const ScaledCodes matrix = weight.blocked(shape, block);
  if (matrix.rows_a_scale != 1) {
    throw weight.data().error("block_size", "blocks do not fit the weight", "groups of one row",
                              io::shape_text(block), kDescriptionHint);
  }
  auto grid = grid_of(shape, block);
  std::swap(grid[grid.size() - 2], grid.back());
  for (const TensorView* one : {&scale, &zero}) {
    reading.expect_shape(*one, grid, shared_by(block) + ", inputs before outputs");
  }
  const Int4Layer layer{.codes = &codes,
                        .scale = &scale,
                        .zero = &zero,
                        .out = shape[shape.size() - 2],
                        .in = shape.back(),
                        .group = block.back()};
  weight.add([layer](std::int64_t first, std::int64_t count,
                     float* out) { decode(layer, first, count, out); },
             shape, fmt::format("int4 {}", layout_name(matrix)), {&codes, &scale, &zero});
}

struct Class {
  std::string_view name;
  void (*read)(Reading&, const TorchaoTensor&);
};
constexpr std::array kClasses = {
    Class{"Float8Tensor", read_float8}, Class{"Int4Tensor", read_int4},
    Class{"Int8Tensor", read_int8},     Class{"IntxUnpackedToInt8Tensor", read_intx},
    Class{"MXTensor", read_torchao_mx}, Class{"NVFP4Tensor", read_torchao_nvfp4}};

Error unknown_class(const TorchaoTensor& tensor) {
  std::string names;
  for (const Class& one : kClasses) names += fmt::format("{}, ", one.name);
  const bool of_device =
      tensor.type == "Int4TilePackedTo4dTensor" || tensor.type == "Int4PlainInt32Tensor";
  return input_error({.message = of_device ? "weight is packed for one kind of device"
                                           : "class of a quantised weight is not read",
                      .file = tensor.file,
                      .where = tensor.name,
                      .expected = names + std::string(kPlainTensor),
                      .found = tensor.type,
                      .hint = of_device ? "quantise with int4_packing_format \"plain\", or with "
                                          "IntxWeightOnlyConfig"
                                        : "quantise with another configuration of torchao 0.18"});
}

// transformers describes a tied head, but leaves it out.
void check_plain(const Reading& reading, const TorchaoTensor& tensor) {
  if (reading.find(tensor.name) != nullptr || tensor.name.ends_with("lm_head.weight")) return;
  throw input_error({.message = "a tensor that the header describes is missing",
                     .file = tensor.file,
                     .where = tensor.name,
                     .expected = "a tensor of this name",
                     .found = "nothing",
                     .hint = "the checkpoint is incomplete: download it again"});
}

bool is_part(std::string_view name) {
  constexpr std::array<std::string_view, 4> kParts = {"_qdata", "_scale", "_zero_point",
                                                      "_scale_and_zero"};
  const std::size_t dot = name.rfind('.');
  const std::string_view last = dot == name.npos ? name : name.substr(dot + 1);
  return last.starts_with('_') &&
         std::ranges::any_of(kParts, [&](std::string_view part) { return last.ends_with(part); });
}

}  // namespace

void read_torchao(Reading& reading) {
  // Weights keep nothing of the descriptions, which end with this loop.
  for (const TorchaoTensor& tensor : torchao_tensors(reading.checkpoint())) {
    if (tensor.type == kPlainTensor) {
      check_plain(reading, tensor);
      continue;
    }
    const auto found = std::ranges::find(kClasses, tensor.type, &Class::name);
    if (found == kClasses.end()) throw unknown_class(tensor);
    found->read(reading, tensor);
  }
  for (const TensorView& view : reading.checkpoint().views()) {
    if (reading.is_taken(view) || !is_part(view.name)) continue;
    throw reading.error(view, "part of a quantised weight that the header does not describe",
                        "a description of its weight", "this tensor alone",
                        "save the model again with a current torchao and transformers");
  }
  read_plain(reading, {});
}

}  // namespace loraproof::candidate
