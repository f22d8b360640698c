// SPDX-License-Identifier: Apache-2.0
// compressed-tensors (llm-compressor, vLLM): which module has which scheme is decided by its
// tensors and checked against config_groups; names of targets need not be matched. Source:
// compressors/ and quantization/lifecycle/forward_helpers.py of compressed-tensors 0.20.
//   weight_packed I32 [out, in·bits/32] (codes + 2^(bits-1), low bits first, dense), weight_shape,
//     weight_scale [out, groups], weight_zero_point I32 packed along the outputs: pack-quantized
//   weight I8 or F8_E4M3 [out, in], weight_scale ([1], [out, 1], [out, groups] or blocks),
//     weight_zero_point I8 like the scale: int-, float- and naive-quantized; U8 scale: mxfp8
//   weight_packed U8 [out, in/2] of E2M1 (low nibble first), weight_scale F8_E4M3 [out, in/16] and
//     weight_global_scale F32 [1]: nvfp4; weight_scale U8 (E8M0) [out, in/32]: mxfp4
// Value: (code - zero) · scale in the type of the scale; FP4 and MX end in BF16.
#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <optional>

#include "loraproof/candidate/scaled_codes.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/narrow.h"
#include "loraproof/io/small_floats.h"

namespace loraproof::candidate {
namespace {

using io::DType;
using io::TensorView;

// `weights` of one entry of config_groups.
struct Scheme {
  std::string pointer;
  std::int64_t bits = 8;
  std::string type = "int";
  std::string strategy;
  std::int64_t group_size = 0;
  std::int64_t block_rows = 0;
  std::int64_t block_columns = 0;
  bool symmetric = true;
  quant::Activations activations = quant::Activations::None;
};

// Of input_activations: what deploy::quantised_inputs knows; others stay in 16 bit.
quant::Activations activations_of(const JsonObject& inputs) {
  const std::string type = inputs.string_or("type", "int");
  const std::string strategy = inputs.string_or("strategy", "tensor");
  if (inputs.integer_or("num_bits", 8) != 8 || !inputs.boolean_or("symmetric", true))
    return quant::Activations::None;
  const Json* dynamic = inputs.find("dynamic");
  if (dynamic != nullptr && *dynamic == true) {
    if (strategy == "group" && type == "float" && inputs.integer_or("group_size", 0) == 128)
      return quant::Activations::E4m3PerGroup;
    if (strategy != "token") return quant::Activations::None;
    return type == "float" ? quant::Activations::E4m3PerToken : quant::Activations::Int8PerToken;
  }
  const bool is_static = strategy == "tensor" && type == "float";
  return is_static ? quant::Activations::E4m3Static : quant::Activations::None;
}

Scheme scheme_of(const JsonObject& weights) {
  Scheme scheme;
  scheme.pointer = weights.pointer_to("");
  scheme.bits = weights.integer_or("num_bits", 8);
  scheme.type = weights.string_or("type", "int");
  scheme.group_size = weights.integer_or("group_size", 0);
  scheme.symmetric = weights.boolean_or("symmetric", true);
  scheme.strategy = weights.string_or("strategy", scheme.group_size > 0 ? "group" : "tensor");
  if (const Json* block = weights.find("block_structure")) {
    const bool sizes = block->is_array() && block->size() == 2 &&
                       (*block)[0].is_number_unsigned() && (*block)[1].is_number_unsigned();
    if (!sizes || (*block)[0] == 0 || (*block)[1] == 0) {
      throw weights.error("block_structure", "bad block size", "two sizes of at least 1",
                          brief(*block));
    }
    scheme.block_rows = (*block)[0].get<std::int64_t>();
    scheme.block_columns = (*block)[1].get<std::int64_t>();
  }
  return scheme;
}

std::vector<Scheme> schemes_of(const JsonObject& config) {
  std::vector<Scheme> schemes;
  const JsonObject groups = config.object("config_groups");
  for (const auto& [name, value] : groups.json().items()) {
    // The old short form: the name of a preset with a list of targets.
    if (!value.is_object()) {
      throw groups.error(name, "preset scheme without its numbers", "an object with weights",
                         brief(value), "save the model again with a current compressed-tensors");
    }
    const JsonObject group = groups.object(name);
    if (!group.has("weights")) continue;
    schemes.push_back(scheme_of(group.object("weights")));
    if (group.has("input_activations"))
      schemes.back().activations = activations_of(group.object("input_activations"));
  }
  return schemes;
}

// Changes of the model that the weights alone do not show.
void refuse_transforms(const JsonObject& config) {
  if (config.has("transform_config")) {
    const JsonObject transform = config.object("transform_config");
    const Json* groups = transform.find("config_groups");
    if (groups != nullptr && !groups->empty()) {
      throw config.error("transform_config", "transforms of weights are not read", "none",
                         brief(*groups), "quantise without SpinQuant or QuIP");
    }
  }
  if (config.has("sparsity_config")) {
    const std::string format = config.object("sparsity_config").string_or("format", "dense");
    if (format != "dense") {
      throw config.error("sparsity_config", "sparse weights are not read", "format \"dense\"",
                         brief(Json(format)), "save the model without sparse compression");
    }
  }
}

// A code of `bits` bits at place `index` of a dense run of words; `word` gives word i.
template <typename Word>
std::uint32_t packed_code(const Word& word, std::int64_t index, std::int64_t bits) {
  const std::int64_t at = index * bits;
  const std::int64_t shift = at % 32;
  std::uint32_t value = word(at / 32) >> shift;
  if (shift + bits > 32) value |= word(at / 32 + 1) << (32 - shift);
  return value & ((std::uint32_t{1} << bits) - 1);
}

// 2^(exponent - 127) as BF16: E8M0 as this library reads it, where 255 is infinite.
float mx_scale(std::uint8_t exponent) {
  return io::rounded_to(io::DType::BF16, std::ldexp(1.0f, static_cast<int>(exponent) - 127));
}

class CompressedReader {
 public:
  explicit CompressedReader(Reading& reading)
      : reading_(reading), schemes_(schemes_of(reading.config())) {}

  // INT codes in words of 32 bits.
  void read_packed(const std::string& module) {
    const TensorView& codes = reading_.need(module + ".weight_packed", {DType::I32});
    const TensorView& scale = float_scale(module);
    const TensorView& shape = reading_.need(module + ".weight_shape", {DType::I64, DType::I32});
    reading_.expect_matrix(codes);
    ScaledCodes matrix{.result = scale.dtype};
    matrix.out = codes.shape[0];
    matrix.in = columns(shape, matrix.out);
    const TensorView* zero = reading_.find(module + ".weight_zero_point");
    const Scheme& scheme = choose(scale, matrix, [&](const Scheme& one) {
      return one.type == "int" && one.bits >= 1 && one.bits <= 8 &&
             codes.shape[1] == (matrix.in * one.bits + 31) / 32 &&
             one.symmetric == (zero == nullptr);
    });
    const std::int64_t bits = scheme.bits;
    const auto half = static_cast<float>(std::int64_t{1} << (bits - 1));
    matrix.codes = [&codes, bits, half, in = matrix.in](std::int64_t row, float* out) {
      const auto word = [&](std::int64_t i) {
        return load<std::uint32_t>(codes.bytes, row * codes.shape[1] + i);
      };
      for (std::int64_t c = 0; c < in; ++c) {
        out[c] = static_cast<float>(packed_code(word, c, bits)) - half;
      }
    };
    if (zero != nullptr) {
      (void)reading_.need(zero->name, {DType::I32});
      reading_.expect_shape(*zero,
                            std::vector{(matrix.out * bits + 31) / 32, matrix.grid_columns()},
                            "packed along the outputs, one column a group");
      matrix.zero = [zero, bits, half, columns = matrix.grid_columns()](std::int64_t i,
                                                                        std::int64_t j) {
        const auto word = [&](std::int64_t k) {
          return load<std::uint32_t>(zero->bytes, k * columns + j);
        };
        return static_cast<float>(packed_code(word, i, bits)) - half;
      };
    }
    add(module, matrix, fmt::format("int{} {}", bits, layout_name(matrix)),
        {&codes, &scale, &shape, zero});
  }

  // Codes of one byte: I8 or F8_E4M3.
  void read_bytes(const std::string& module) {
    const TensorView& codes = reading_.need(module + ".weight", {DType::I8, DType::F8E4M3});
    reading_.expect_matrix(codes);
    const TensorView& scale =
        reading_.need(module + ".weight_scale", {DType::F32, DType::F16, DType::BF16, DType::U8});
    const bool is_float = codes.dtype == DType::F8E4M3;
    const bool is_mx = scale.dtype == DType::U8;
    const TensorView* zero = reading_.find(module + ".weight_zero_point");
    ScaledCodes matrix{.out = codes.shape[0], .in = codes.shape[1], .result = scale.dtype};
    const Scheme& scheme = choose(scale, matrix, [&](const Scheme& one) {
      return one.bits == 8 && one.type == (is_float ? "float" : "int") &&
             one.symmetric == (zero == nullptr) && (!is_mx || one.group_size == 32);
    });
    matrix.codes = byte_codes(codes);
    if (is_mx) {
      matrix.result = DType::BF16;
      matrix.scale = [&scale, columns = matrix.grid_columns()](std::int64_t i, std::int64_t j) {
        return mx_scale(load<std::uint8_t>(scale.bytes, i * columns + j));
      };
    }
    if (zero != nullptr) {
      (void)reading_.need(zero->name, {DType::I8});
      reading_.expect_shape(*zero, scale.shape, "one zero for each scale");
      matrix.zero = [zero, columns = matrix.grid_columns()](std::int64_t i, std::int64_t j) {
        return static_cast<float>(load<std::int8_t>(zero->bytes, i * columns + j));
      };
    }
    const char* kind = is_mx ? "mxfp8" : is_float ? "fp8" : "int8";
    add(module, matrix, fmt::format("{} {}", kind, layout_name(matrix)), {&codes, &scale, zero},
        inputs_of(module, scheme));
  }

  // E2M1 codes, two a byte: NVFP4 or MXFP4.
  void read_fp4(const std::string& module) {
    const TensorView& codes = reading_.need(module + ".weight_packed", {DType::U8});
    reading_.expect_matrix(codes);
    const TensorView& scale = reading_.need(module + ".weight_scale", {DType::F8E4M3, DType::U8});
    const bool is_mx = scale.dtype == DType::U8;
    ScaledCodes matrix{.out = codes.shape[0], .in = codes.shape[1] * 2, .result = DType::BF16};
    (void)choose(scale, matrix, [&](const Scheme& one) {
      return one.bits == 4 && one.type == "float" && one.symmetric &&
             one.group_size == (is_mx ? 32 : 16);
    });
    const std::int64_t columns = matrix.grid_columns();
    matrix.codes = [&codes](std::int64_t row, float* out) {
      const std::byte* at = codes.bytes.data() + row * codes.shape[1];
      for (std::int64_t c = 0; c < codes.shape[1]; ++c) {
        const auto byte = std::to_integer<std::uint8_t>(at[c]);
        out[2 * c] = io::e2m1_value(byte);
        out[2 * c + 1] = io::e2m1_value(byte >> 4);
      }
    };
    const TensorView* global = nullptr;
    if (is_mx) {
      matrix.scale = [&scale, columns](std::int64_t i, std::int64_t j) {
        return mx_scale(load<std::uint8_t>(scale.bytes, i * columns + j));
      };
    } else {
      global = &reading_.need(module + ".weight_global_scale", {DType::F32});
      reading_.expect_shape(*global, std::vector<std::int64_t>{1}, "one scale of the tensor");
      // The global scale divides: the weights were multiplied by it.
      const float divisor = float_at(*global, 0);
      matrix.scale = [&scale, columns, divisor](std::int64_t i, std::int64_t j) {
        return io::e4m3_value(load<std::uint8_t>(scale.bytes, i * columns + j)) / divisor;
      };
    }
    add(module, matrix, is_mx ? "mxfp4" : "nvfp4", {&codes, &scale, global});
  }

 private:
  const TensorView& float_scale(const std::string& module) const {
    return reading_.need(module + ".weight_scale", {DType::F32, DType::F16, DType::BF16});
  }

  // Columns by weight_shape, whose rows must be those of the codes.
  std::int64_t columns(const TensorView& shape, std::int64_t rows) const {
    reading_.expect_shape(shape, std::vector<std::int64_t>{2}, "rows and columns of the weight");
    const auto at = [&](std::int64_t i) -> std::int64_t {
      return shape.dtype == DType::I64 ? load<std::int64_t>(shape.bytes, i)
                                       : load<std::int32_t>(shape.bytes, i);
    };
    if (at(0) != rows || at(1) < 1 || at(1) > (std::int64_t{1} << 32)) {
      throw reading_.error(shape, "stored shape does not fit the codes",
                           fmt::format("{} rows and at least one column", rows),
                           fmt::format("[{}, {}]", at(0), at(1)));
    }
    return at(1);
  }

  // The first scheme whose codes (`fits`) and scales these are; sets how scales lie and reads them.
  template <typename Fits>
  const Scheme& choose(const TensorView& scale, ScaledCodes& matrix, const Fits& fits) const {
    std::string expected;
    for (const Scheme& scheme : schemes_) {
      if (!fits(scheme)) continue;
      if (lay_out(scheme, scale, matrix)) return scheme;
      expected +=
          fmt::format("{}{}", expected.empty() ? "" : " or ", expected_scale(scheme, matrix));
    }
    throw reading_.error(
        scale, "scales do not belong to any scheme of config_groups",
        expected.empty() ? "a scheme of these codes (bits, type, symmetric)" : expected,
        fmt::format("scales {} for a weight [{}, {}]", io::shape_text(scale.shape), matrix.out,
                    matrix.in),
        "does quantization_config belong to this checkpoint?");
  }

  static bool lay_out(const Scheme& scheme, const TensorView& scale, ScaledCodes& matrix) {
    if (!set_grid(scheme, matrix)) return false;
    const std::array<std::int64_t, 2> grid = {matrix.grid_rows(), matrix.grid_columns()};
    const bool one = grid[0] == 1 && grid[1] == 1 && scale.shape.size() < 2 && scale.numel() == 1;
    // A channel's scale also comes as [out].
    const bool flat = grid[1] == 1 && scale.shape.size() == 1 && scale.shape[0] == grid[0];
    if (!one && !flat && !std::ranges::equal(scale.shape, grid)) return false;
    matrix.scale = [&scale, columns = grid[1]](std::int64_t i, std::int64_t j) {
      return float_at(scale, i * columns + j);
    };
    return true;
  }

  static bool set_grid(const Scheme& scheme, ScaledCodes& matrix) {
    matrix.rows_a_scale = 1;
    matrix.columns_a_scale = matrix.in;
    if (scheme.strategy == "tensor") {
      matrix.rows_a_scale = matrix.out;
    } else if (scheme.strategy == "group" || scheme.strategy == "tensor_group") {
      if (scheme.group_size < 1 || matrix.in % scheme.group_size != 0) return false;
      matrix.columns_a_scale = scheme.group_size;
    } else if (scheme.strategy == "block") {
      if (scheme.block_rows < 1) return false;
      matrix.rows_a_scale = scheme.block_rows;
      matrix.columns_a_scale = scheme.block_columns;
    } else if (scheme.strategy != "channel") {
      return false;
    }
    return true;
  }

  static std::string expected_scale(const Scheme& scheme, ScaledCodes& matrix) {
    if (!set_grid(scheme, matrix)) {
      return fmt::format("inputs that groups of {} divide", scheme.group_size);
    }
    return fmt::format("[{}, {}] ({})", matrix.grid_rows(), matrix.grid_columns(),
                       layout_name(matrix));
  }

  quant::Inputs inputs_of(const std::string& module, const Scheme& scheme) const {
    quant::Inputs inputs{.activations = scheme.activations};
    const TensorView* scale = reading_.find(module + ".input_scale");
    if (scheme.activations == quant::Activations::E4m3Static && scale != nullptr)
      inputs.scale = float_at(*scale, 0);
    return inputs;
  }

  void add(const std::string& module, const ScaledCodes& matrix, const std::string& method,
           std::initializer_list<const TensorView*> parts, const quant::Inputs& inputs = {}) {
    Weight weight{
        .name = module + ".weight",
        .shape = {matrix.out, matrix.in},
        .method = fmt::format("compressed-tensors {}{}", method, matrix.zero ? " asym" : "")};
    weight.inputs = inputs;
    weight.decode = [matrix](std::int64_t first, std::int64_t count, float* out) {
      decode_scaled(matrix, first, count, out);
    };
    reading_.add(std::move(weight), parts);
  }

  Reading& reading_;
  std::vector<Scheme> schemes_;
};

// What belongs to activations and to the cache of keys and values.
bool is_of_activations(std::string_view name) {
  constexpr std::array<std::string_view, 11> kParts = {
      ".input_scale",  ".input_zero_point",  ".input_global_scale",
      ".output_scale", ".output_zero_point", ".k_scale",
      ".v_scale",      ".q_scale",           ".k_zero_point",
      ".v_zero_point", ".q_zero_point"};
  return std::ranges::any_of(kParts, [&](std::string_view part) { return name.ends_with(part); });
}

}  // namespace

void read_compressed_tensors(Reading& reading) {
  refuse_transforms(reading.config());
  CompressedReader reader(reading);
  for (const std::string& module : reading.modules_with("weight_g_idx")) {
    const TensorView& index = *reading.find(module + ".weight_g_idx");
    throw reading.error(index, "groups ordered by activation are not read", "no weight_g_idx",
                        "weight_g_idx", "quantise with actorder \"weight\" or none");
  }
  for (const std::string& module : reading.modules_with("weight_packed")) {
    const TensorView& codes = *reading.find(module + ".weight_packed");
    codes.dtype == DType::U8 ? reader.read_fp4(module) : reader.read_packed(module);
  }
  for (const std::string& module : reading.modules_with("weight_scale")) {
    const TensorView& scale = *reading.find(module + ".weight_scale");
    if (!reading.is_taken(scale)) reader.read_bytes(module);
  }
  for (const TensorView& view : reading.checkpoint().views()) {
    if (is_of_activations(view.name)) reading.pass_over(view);
  }
  read_plain(reading, {"weight_shape", "weight_zero_point", "weight_global_scale"});
}

}  // namespace loraproof::candidate
