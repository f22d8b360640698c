// SPDX-License-Identifier: Apache-2.0
#include "loraproof/candidate/torchao_weight.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::candidate {
namespace {

using io::DType;
using io::TensorView;

constexpr std::int64_t kLargestSize = std::int64_t{1} << 40;

bool is_among(std::string_view part, std::initializer_list<std::string_view> parts) {
  return std::ranges::find(parts, part) != parts.end();
}

// _data of an attribute that torchao wrapped, {"_type": "MappingType", "_data": "SYMMETRIC"}.
std::string wrapped_value(const JsonObject& settings, std::string_view key) {
  return settings.has(key) ? settings.object(key).string_or("_data", "") : "";
}

// Dynamic symmetric quantisation by token; anything else stays in 16 bit.
quant::Inputs inputs_of(const JsonObject& data) {
  if (!data.has("act_quant_kwargs")) return {};
  const JsonObject kwargs = data.object("act_quant_kwargs");
  const std::string type = kwargs.string_or("_type", "");
  const JsonObject settings = kwargs.object("_data");
  if (!settings.has("granularity") ||
      settings.object("granularity").string_or("_type", "") != "PerRow")
    return {};
  if (type == "QuantizeTensorToFloat8Kwargs") {
    const bool bounded = settings.has("hp_value_lb") || settings.has("hp_value_ub");
    const bool is_e4m3 = wrapped_value(settings, "float8_dtype") == "float8_e4m3fn";
    if (is_e4m3 && !bounded) return {.activations = quant::Activations::E4m3PerTokenTorchao};
  } else if (type == "QuantizeTensorToInt8Kwargs") {
    const bool is_symmetric = wrapped_value(settings, "mapping_type") == "SYMMETRIC";
    if (is_symmetric && !settings.boolean_or("reduce_range", false))
      return {.activations = quant::Activations::Int8PerTokenTorchao};
  }
  return {};
}

}  // namespace

TorchaoWeight::TorchaoWeight(Reading& reading, const TorchaoTensor& tensor, const Parts& parts)
    : reading_(reading),
      tensor_(tensor),
      data_(JsonObject(tensor.description, tensor.where).object("_data")) {
  check_parts(parts);
}

// torchao keeps the parts of "m.weight" as "m._weight_qdata" and so on.
std::string TorchaoWeight::name_of(std::string_view part) const {
  const std::size_t dot = tensor_.name.rfind('.');
  const std::string module = dot == std::string::npos ? "" : tensor_.name.substr(0, dot + 1);
  return fmt::format("{}_{}_{}", module, tensor_.name.substr(module.size()), part);
}

bool TorchaoWeight::lists(std::string_view part) const {
  return std::ranges::find(tensor_.parts, part) != tensor_.parts.end();
}

void TorchaoWeight::check_parts(const Parts& parts) const {
  const JsonObject root(tensor_.description, tensor_.where);
  for (const std::string_view part : parts.required) {
    if (lists(part)) continue;
    throw root.error("_tensor_data_names",
                     fmt::format("description of a {} lacks a part", tensor_.type),
                     brief(Json(part)), brief(Json(tensor_.parts)), kDescriptionHint);
  }
  if (lists("act_pre_scale")) {
    throw root.error("_tensor_data_names", "inputs are scaled before the layer, which is not read",
                     "no act_pre_scale", "\"act_pre_scale\"",
                     "quantise without AWQ and SmoothQuant, or fold their scales into the layer "
                     "before");
  }
  for (const std::string& part : tensor_.parts) {
    if (is_among(part, parts.required) || is_among(part, parts.optional)) continue;
    throw root.error(
        "_tensor_data_names", fmt::format("{} has a part that is not read", tensor_.type),
        fmt::format("{}", fmt::join(parts.required, ", ")), brief(Json(part)), kDescriptionHint);
  }
}

const TensorView& TorchaoWeight::part(std::string_view part,
                                      std::initializer_list<DType> types) const {
  const std::string name = name_of(part);
  if (reading_.find(name) == nullptr) {
    throw input_error(
        {.message = "a tensor of a quantised weight is missing",
         .file = tensor_.file,
         .where = name,
         .expected = fmt::format("the {} of the {} that the header describes", part, tensor_.type),
         .found = "nothing",
         .hint = "the checkpoint is incomplete: download it again"});
  }
  return reading_.need(name, types);
}

const TensorView* TorchaoWeight::find_part(std::string_view part,
                                           std::initializer_list<DType> types) const {
  return lists(part) ? &this->part(part, types) : nullptr;
}

const TensorView& TorchaoWeight::codes(std::initializer_list<DType> types) const {
  const TensorView& view = part("qdata", types);
  if (view.shape.size() < 2 || std::ranges::find(view.shape, 0) != view.shape.end()) {
    throw reading_.error(view, "tensor of a quantised weight is no matrix",
                         "two sizes or more of at least 1", io::shape_text(view.shape),
                         "the checkpoint is damaged: download it again");
  }
  return view;
}

std::string TorchaoWeight::type_name(std::string_view key) const {
  const Json* value = data_.find(key);
  if (value != nullptr && value->is_object()) {
    const JsonObject type = data_.object(key);
    if (type.string("_type") == "torch.dtype") return type.string("_data");
  }
  throw data_.error(key, "not a type of torch", "{\"_type\": \"torch.dtype\", \"_data\": ...}",
                    value == nullptr ? "nothing" : brief(*value), kDescriptionHint);
}

DType TorchaoWeight::float_type(std::string_view key) const {
  const std::string name = type_name(key);
  if (name == "bfloat16") return DType::BF16;
  if (name == "float16") return DType::F16;
  if (name == "float32") return DType::F32;
  throw data_.error(key, "unknown type of a dequantised weight",
                    "\"bfloat16\", \"float16\" or \"float32\"", brief(Json(name)),
                    kDescriptionHint);
}

std::vector<std::int64_t> TorchaoWeight::sizes(std::string_view key) const {
  const Json* value = data_.find(key);
  bool good = value != nullptr && value->is_array() && value->size() <= io::kMaxTensorRank;
  std::vector<std::int64_t> result;
  if (good) {
    for (const Json& size : *value) {
      good = good && size.is_number_unsigned() && size.get<std::uint64_t>() >= 1 &&
             size.get<std::uint64_t>() <= std::uint64_t{kLargestSize};
      if (good) result.push_back(size.get<std::int64_t>());
    }
  }
  if (!good) {
    throw data_.error(key, "bad list of sizes", "sizes of at least 1",
                      value == nullptr ? "nothing" : brief(*value), kDescriptionHint);
  }
  return result;
}

ScaledCodes TorchaoWeight::blocked(const std::vector<std::int64_t>& shape,
                                   const std::vector<std::int64_t>& block) const {
  const auto wrong = [&](const char* expected) {
    return data_.error(
        "block_size", "blocks do not fit the weight", expected,
        fmt::format("blocks of {} in {}", io::shape_text(block), io::shape_text(shape)),
        kDescriptionHint);
  };
  if (block.size() != shape.size()) throw wrong("as many sizes as the weight has");
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] % block[i] != 0) throw wrong("sizes that divide those of the weight");
  }
  ScaledCodes matrix{.out = 1, .in = shape.back(), .columns_a_scale = block.back()};
  bool runs_on = true;  // Every dimension so far is one block: the block may go on in the next.
  for (std::size_t i = shape.size() - 1; i-- > 0;) {
    if (block[i] != 1 && !runs_on) throw wrong("blocks of rows that follow each other");
    matrix.out *= shape[i];
    matrix.rows_a_scale *= block[i];
    runs_on = runs_on && block[i] == shape[i];
  }
  return matrix;
}

void TorchaoWeight::add(const ScaledCodes& matrix, const std::vector<std::int64_t>& shape,
                        const std::string& method, std::initializer_list<const TensorView*> parts) {
  add([matrix](std::int64_t first, std::int64_t count,
               float* out) { decode_scaled(matrix, first, count, out); },
      shape, method, parts);
}

void TorchaoWeight::add(std::function<void(std::int64_t, std::int64_t, float*)> decode,
                        const std::vector<std::int64_t>& shape, const std::string& method,
                        std::initializer_list<const TensorView*> parts) {
  Weight weight{.name = tensor_.name, .shape = shape, .method = "torchao " + method};
  // A scale of the inputs among the parts is a fixed one.
  if (!lists("act_quant_scale")) weight.inputs = inputs_of(data_);
  weight.decode = std::move(decode);
  reading_.add(std::move(weight), parts);
}

std::vector<std::int64_t> grid_of(const std::vector<std::int64_t>& shape,
                                  const std::vector<std::int64_t>& block) {
  std::vector<std::int64_t> grid;
  for (std::size_t i = 0; i < shape.size(); ++i) grid.push_back(shape[i] / block[i]);
  return grid;
}

}  // namespace loraproof::candidate
