// SPDX-License-Identifier: Apache-2.0
// FP8 as DeepSeek, Qwen and transformers (FineGrainedFP8Config) write it: weight F8_E4M3 [out, in]
// and weight_scale_inv, one F32 or BF16 for each block (128 x 128) or for the tensor. Value: code ·
// scale_inv in float32, which is also what the kernels multiply with.
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "loraproof/candidate/scaled_codes.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::candidate {
namespace {

using io::DType;
using io::TensorView;

// Rows and columns of a block; nothing for one scale a tensor.
std::optional<std::pair<std::int64_t, std::int64_t>> block_size(const JsonObject& config) {
  const Json* block = config.find("weight_block_size");
  if (block == nullptr) return std::nullopt;
  const auto is_size = [](const Json& size) {
    return size.is_number_integer() && size.get<std::int64_t>() > 0;
  };
  if (!block->is_array() || block->size() != 2 || !is_size((*block)[0]) || !is_size((*block)[1])) {
    throw config.error("weight_block_size", "bad block size", "two sizes of at least 1",
                       brief(*block));
  }
  return std::pair((*block)[0].get<std::int64_t>(), (*block)[1].get<std::int64_t>());
}

// Dynamic scales are taken of groups of 128 where the weight has blocks (act_quant), else of the
// whole input, which is not simulated.
quant::Inputs inputs_of(const Reading& reading, const std::string& module, bool blocks) {
  if (const TensorView* scale = reading.find(module + ".activation_scale"))
    return {.activations = quant::Activations::E4m3Static, .scale = float_at(*scale, 0)};
  return {.activations = blocks ? quant::Activations::E4m3PerGroup : quant::Activations::None};
}

}  // namespace

void read_fp8(Reading& reading) {
  const auto block = block_size(reading.config());
  for (const std::string& module : reading.modules_with("weight_scale_inv")) {
    const TensorView& codes = reading.need(module + ".weight", {DType::F8E4M3});
    const TensorView& scales =
        reading.need(module + ".weight_scale_inv", {DType::F32, DType::BF16, DType::F16});
    reading.expect_matrix(codes);
    ScaledCodes matrix{.out = codes.shape[0], .in = codes.shape[1]};
    const bool whole = !block || (scales.numel() == 1 && scales.shape.size() < 2);
    matrix.rows_a_scale = whole ? matrix.out : block->first;
    matrix.columns_a_scale = whole ? matrix.in : block->second;
    if (whole ? scales.numel() != 1 : scales.shape.size() != 2) {
      throw reading.error(scales, "tensor of a quantised weight has the wrong shape",
                          whole ? "one scale" : "a grid of scales", io::shape_text(scales.shape));
    }
    if (!whole) {
      reading.expect_shape(scales, std::vector{matrix.grid_rows(), matrix.grid_columns()},
                           fmt::format("blocks of {} x {} of {}", block->first, block->second,
                                       io::shape_text(codes.shape)));
    }
    matrix.codes = byte_codes(codes);
    matrix.scale = [&scales, columns = matrix.grid_columns()](std::int64_t i, std::int64_t j) {
      return float_at(scales, i * columns + j);
    };
    Weight weight{.name = codes.name,
                  .shape = codes.shape,
                  .method = whole ? "fp8 tensor"
                                  : fmt::format("fp8 block {}x{}", block->first, block->second)};
    weight.decode = [matrix](std::int64_t first, std::int64_t count, float* out) {
      decode_scaled(matrix, first, count, out);
    };
    weight.inputs = inputs_of(reading, module, block.has_value());
    reading.add(std::move(weight), {&codes, &scales});
  }
  for (const TensorView& view : reading.checkpoint().views()) {
    if (view.name.ends_with(".activation_scale")) reading.pass_over(view);
    if (view.name.ends_with("_scale_inv") && !reading.is_taken(view)) {
      throw reading.error(view, "scales of a fused FP8 weight are not read",
                          "<module>.weight_scale_inv", "this name",
                          "mixtures of experts are read in their unfused layout only");
    }
  }
  read_plain(reading, {"weight_scale_inv"});
}

}  // namespace loraproof::candidate
