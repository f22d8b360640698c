// SPDX-License-Identifier: Apache-2.0
// bitsandbytes as transformers saves it.
//   4 bit: weight (bytes, two codes each, the first in the high nibble) of the flattened matrix,
//     weight.quant_state.bitsandbytes__nf4 or __fp4 (JSON as bytes), weight.quant_map F32 [16],
//     weight.absmax F32 (one for each block) or, nested, U8 codes with weight.nested_quant_map F32
//     [256], weight.nested_absmax F32 and nested_offset. Value: map[code] · absmax, rounded to the
//     type that the state names.
//   8 bit: weight I8 [out, in], SCB F32 [out]. Value: code · SCB · fp32(1/127), in float32.
// Source: bitsandbytes/functional.py (QuantState.from_dict) and backends/default/ops.py, 0.50.
#include <array>
#include <fmt/format.h>
#include <vector>

#include "loraproof/candidate/reading.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/narrow.h"

namespace loraproof::candidate {
namespace {

using io::DType;
using io::TensorView;

struct FourBit {
  const TensorView* codes = nullptr;
  const TensorView* map = nullptr;
  const TensorView* absmax = nullptr;
  const TensorView* nested_map = nullptr;  // Null: absmax are plain.
  const TensorView* nested_absmax = nullptr;
  const TensorView* state = nullptr;
  std::string type;
  std::int64_t out = 0;
  std::int64_t in = 0;
  std::int64_t block = 64;
  std::int64_t nested_block = 256;
  float nested_offset = 0;
  DType result = DType::F32;
};

float absmax_of(const FourBit& weight, std::int64_t block) {
  if (weight.nested_map == nullptr) return load<float>(weight.absmax->bytes, block);
  const auto code = load<std::uint8_t>(weight.absmax->bytes, block);
  const float scaled = load<float>(weight.nested_map->bytes, code) *
                       load<float>(weight.nested_absmax->bytes, block / weight.nested_block);
  return scaled + weight.nested_offset;
}

void decode(const FourBit& weight, std::int64_t first, std::int64_t count, float* out) {
  std::array<float, 16> map{};
  for (std::size_t i = 0; i < map.size(); ++i) {
    map[i] = load<float>(weight.map->bytes, static_cast<std::int64_t>(i));
  }
  std::int64_t block = -1;
  float absmax = 0;
  for (std::int64_t i = first * weight.in; i < (first + count) * weight.in; ++i) {
    if (i / weight.block != block) {
      block = i / weight.block;
      absmax = absmax_of(weight, block);
    }
    const auto byte = load<std::uint8_t>(weight.codes->bytes, i / 2);
    const std::size_t code = i % 2 == 0 ? byte >> 4 : byte & 15u;
    *out++ = io::rounded_to(weight.result, map[code] * absmax);
  }
}

// The names of torch's types that bitsandbytes dequantises to.
DType result_type(const JsonObject& state) {
  const std::string name = state.string("dtype");
  if (name == "bfloat16") return DType::BF16;
  if (name == "float16") return DType::F16;
  if (name == "float32") return DType::F32;
  throw state.error("dtype", "unknown type of a 4-bit weight",
                    "\"bfloat16\", \"float16\" or \"float32\"", brief(Json(name)));
}

class FourBitReader {
 public:
  explicit FourBitReader(Reading& reading) : reading_(reading) {}

  void read(const std::string& weight_name, const TensorView& state) {
    const FourBit weight = check(weight_name, state);
    Weight result{.name = weight_name,
                  .shape = {weight.out, weight.in},
                  .method = fmt::format("bitsandbytes {} g{}{}", weight.type, weight.block,
                                        weight.nested_map == nullptr ? "" : " nested")};
    result.decode = [weight](std::int64_t first, std::int64_t count, float* out) {
      decode(weight, first, count, out);
    };
    reading_.add(std::move(result), {weight.codes, weight.map, weight.absmax, weight.nested_map,
                                     weight.nested_absmax, weight.state});
  }

 private:
  FourBit check(const std::string& name, const TensorView& state_view) {
    FourBit weight{.state = &state_view};
    const std::string where =
        reading_.checkpoint().file_of(state_view).file().path().string() + ": " + state_view.name;
    const Json document = parse_json(
        {reinterpret_cast<const char*>(state_view.bytes.data()), state_view.bytes.size()}, where,
        {.max_bytes = 1 << 16, .max_depth = 4});
    const JsonObject state(document, where);
    weight.type = state.string("quant_type");
    weight.block = positive(state, "blocksize");
    weight.result = result_type(state);
    read_shape(state, weight);
    // The storage type may be any (bnb_4bit_quant_storage): bytes are bytes.
    weight.codes = reading_.find(name);
    if (weight.codes == nullptr) (void)reading_.need(name, {DType::U8});
    const std::int64_t values = weight.out * weight.in;
    expect_bytes(*weight.codes, (values + 1) / 2);
    weight.map = &reading_.need(name + ".quant_map", {DType::F32});
    reading_.expect_shape(*weight.map, std::vector<std::int64_t>{16}, "one value for each code");
    const std::int64_t blocks = (values + weight.block - 1) / weight.block;
    if (state.has("nested_blocksize")) {
      read_nested(name, state, blocks, weight);
    } else {
      weight.absmax = &reading_.need(name + ".absmax", {DType::F32});
    }
    reading_.expect_shape(*weight.absmax, std::vector{blocks},
                          fmt::format("one for each {} of {} values", weight.block, values));
    return weight;
  }

  void read_nested(const std::string& name, const JsonObject& state, std::int64_t blocks,
                   FourBit& weight) {
    weight.nested_block = positive(state, "nested_blocksize");
    weight.nested_offset = static_cast<float>(state.number("nested_offset"));
    weight.absmax = &reading_.need(name + ".absmax", {DType::U8});
    weight.nested_map = &reading_.need(name + ".nested_quant_map", {DType::F32});
    weight.nested_absmax = &reading_.need(name + ".nested_absmax", {DType::F32});
    reading_.expect_shape(*weight.nested_map, std::vector<std::int64_t>{256},
                          "one value for each code");
    reading_.expect_shape(*weight.nested_absmax,
                          std::vector{(blocks + weight.nested_block - 1) / weight.nested_block},
                          fmt::format("one for each {} of {} blocks", weight.nested_block, blocks));
  }

  static std::int64_t positive(const JsonObject& state, const char* key) {
    const std::int64_t value = state.integer(key);
    if (value < 1 || value > (std::int64_t{1} << 32)) {
      throw state.error(key, "value out of range", "1 to 2^32", fmt::format("{}", value));
    }
    return value;
  }

  static void read_shape(const JsonObject& state, FourBit& weight) {
    const Json* shape = state.find("shape");
    bool good = shape != nullptr && shape->is_array() && shape->size() == 2;
    if (good) {
      for (const Json& size : *shape) {
        good = good && size.is_number_unsigned() && size.get<std::uint64_t>() >= 1 &&
               size.get<std::uint64_t>() < (std::uint64_t{1} << 31);
      }
    }
    if (!good) {
      throw state.error("shape", "bad shape of a 4-bit weight", "two sizes of at least 1",
                        shape == nullptr ? "nothing" : brief(*shape));
    }
    weight.out = (*shape)[0].get<std::int64_t>();
    weight.in = (*shape)[1].get<std::int64_t>();
  }

  void expect_bytes(const TensorView& view, std::int64_t bytes) const {
    if (view.bytes.size() == static_cast<std::size_t>(bytes)) return;
    throw reading_.error(view, "codes do not fit the shape of the weight",
                         fmt::format("{} bytes", bytes), fmt::format("{} bytes", view.bytes.size()),
                         "the checkpoint is damaged");
  }

  Reading& reading_;
};

// 4-bit states by the weight they belong to.
void read_four_bit(Reading& reading) {
  FourBitReader reader(reading);
  for (const TensorView& view : reading.checkpoint().views()) {
    const std::size_t at = view.name.find(".quant_state.bitsandbytes__");
    if (at == std::string::npos || at == 0) continue;
    reader.read(view.name.substr(0, at), reading.need(view.name, {DType::U8}));
  }
}

void read_eight_bit(Reading& reading) {
  const double threshold = reading.config().number_or("llm_int8_threshold", quant::kOutlier);
  for (const std::string& module : reading.modules_with("SCB")) {
    const TensorView& scale = reading.need(module + ".SCB", {DType::F32});
    const TensorView& codes = reading.need(module + ".weight", {DType::I8});
    reading.expect_matrix(codes);
    reading.expect_shape(scale, std::vector{codes.shape[0]}, "one scale for each row of codes");
    if (const TensorView* format = reading.find(module + ".weight_format")) {
      const bool row_major = format->bytes.size() == 1 && format->bytes[0] == std::byte{0};
      if (!row_major) {
        throw reading.error(*format, "layout of an 8-bit weight that is not read", "0 (rows)",
                            "another", "save the model again with a current bitsandbytes");
      }
      reading.pass_over(*format);
    }
    Weight weight{.name = codes.name, .shape = codes.shape, .method = "bitsandbytes int8"};
    weight.inputs = {
        .activations = quant::Activations::Int8PerTokenAndOutliers,
        .outlier = threshold > 0 ? threshold : std::numeric_limits<double>::infinity()};
    weight.decode = [&codes, &scale, in = codes.shape[1]](std::int64_t first, std::int64_t count,
                                                          float* out) {
      constexpr float kInverse = 7.874015718698502e-3f;  // 1/127 as bitsandbytes writes it
      for (std::int64_t i = first * in; i < (first + count) * in; ++i) {
        const auto code = static_cast<float>(load<std::int8_t>(codes.bytes, i));
        *out++ = code * load<float>(scale.bytes, i / in) * kInverse;
      }
    };
    reading.add(std::move(weight), {&codes, &scale});
  }
}

}  // namespace

void read_bitsandbytes(Reading& reading) {
  read_four_bit(reading);
  read_eight_bit(reading);
  read_plain(reading, {"SCB", "weight_format", "absmax", "quant_map", "nested_absmax",
                       "nested_quant_map", "bitsandbytes__nf4", "bitsandbytes__fp4"});
}

}  // namespace loraproof::candidate
