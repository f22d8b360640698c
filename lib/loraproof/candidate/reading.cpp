// SPDX-License-Identifier: Apache-2.0
#include "loraproof/candidate/reading.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"

namespace loraproof::candidate {
namespace {

constexpr const char* kMismatch =
    "the checkpoint is damaged, or its configuration belongs to another";

// "weight_scale" of "model.layers.0.mlp.up_proj.weight_scale".
std::string_view last_part(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == name.npos ? name : name.substr(dot + 1);
}

bool is_plain_float(io::DType dtype) {
  return dtype == io::DType::F32 || dtype == io::DType::F16 || dtype == io::DType::BF16 ||
         dtype == io::DType::F64;
}

// Buffers of old models that are no weights: causal masks, position numbers.
bool is_buffer(const io::TensorView& view) {
  const std::string_view part = last_part(view.name);
  return !io::is_floating(view.dtype) && part != "weight" && part != "bias";
}

}  // namespace

float float_at(const io::TensorView& view, std::int64_t index) {
  switch (view.dtype) {
    case io::DType::F32: return load<float>(view.bytes, index);
    case io::DType::F16: return io::f16_value(load<std::uint16_t>(view.bytes, index));
    case io::DType::BF16: return io::bf16_value(load<std::uint16_t>(view.bytes, index));
    default:
      throw internal_error({.message = "a scale that is not F32, F16 or BF16",
                            .where = view.name,
                            .found = std::string(io::name_of(view.dtype))});
  }
}

std::string lower_name(io::DType dtype) {
  std::string name(io::name_of(dtype));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

std::vector<std::string> Reading::modules_with(std::string_view part) const {
  std::vector<std::string> modules;
  for (const io::TensorView& view : checkpoint_.views()) {
    if (last_part(view.name) != part || view.name.size() == part.size()) continue;
    modules.push_back(view.name.substr(0, view.name.size() - part.size() - 1));
  }
  return modules;
}

const io::TensorView& Reading::need(const std::string& name,
                                    std::initializer_list<io::DType> types) const {
  const io::TensorView* view = find(name);
  if (view == nullptr) {
    throw input_error({.message = "a tensor of a quantised weight is missing",
                       .file = config_.file(),
                       .where = name,
                       .expected = "a tensor of this name",
                       .found = "nothing",
                       .hint = "the checkpoint is incomplete, or written by another library than "
                               "its quantization_config says"});
  }
  if (std::ranges::find(types, view->dtype) == types.end()) {
    std::string names;
    for (const io::DType type : types) {
      names += fmt::format("{}{}", names.empty() ? "" : " or ", io::name_of(type));
    }
    throw error(*view, "tensor of a quantised weight has the wrong type", names,
                std::string(io::name_of(view->dtype)), kMismatch);
  }
  return *view;
}

void Reading::expect_shape(const io::TensorView& view, std::span<const std::int64_t> shape,
                           const std::string& why) const {
  if (std::ranges::equal(view.shape, shape)) return;
  throw error(view, "tensor of a quantised weight has the wrong shape",
              fmt::format("{} ({})", io::shape_text(shape), why), io::shape_text(view.shape),
              kMismatch);
}

void Reading::expect_matrix(const io::TensorView& view) const {
  if (view.shape.size() == 2 && view.shape[0] > 0 && view.shape[1] > 0) return;
  throw error(view, "tensor of a quantised weight is no matrix", "two sizes of at least 1",
              io::shape_text(view.shape), kMismatch);
}

Error Reading::error(const io::TensorView& view, std::string message, std::string expected,
                     std::string found, std::string hint) const {
  return input_error({.message = std::move(message),
                      .file = checkpoint_.file_of(view).file().path().string(),
                      .where = view.name,
                      .expected = std::move(expected),
                      .found = std::move(found),
                      .hint = std::move(hint)});
}

void Reading::add(Weight weight, std::initializer_list<const io::TensorView*> parts) {
  for (const io::TensorView* part : parts) {
    if (part == nullptr) continue;
    taken_.insert(part->name);
    weight.stored.push_back({&checkpoint_.file_of(*part).file(), part->bytes});
  }
  weights_.push_back(std::move(weight));
}

void read_plain(Reading& reading, std::initializer_list<std::string_view> parts) {
  for (const io::TensorView& view : reading.checkpoint().views()) {
    if (reading.is_taken(view)) continue;
    if (std::ranges::find(parts, last_part(view.name)) != parts.end()) {
      throw reading.error(view, "part of a quantised weight without its codes",
                          "the codes beside it", "this tensor alone",
                          "the checkpoint is incomplete: download it again");
    }
    if (is_buffer(view)) continue;
    if (!is_plain_float(view.dtype)) {
      throw reading.error(view, "weight is stored in a type that says nothing without a scale",
                          "F32, F16, BF16, or the scales of a quantised weight",
                          std::string(io::name_of(view.dtype)),
                          "is quantization_config missing from config.json?");
    }
    Weight weight{.name = view.name, .shape = view.shape, .method = lower_name(view.dtype)};
    const std::int64_t length = view.shape.empty() ? 1 : view.shape.back();
    weight.decode = [&view, length](std::int64_t first, std::int64_t count, float* out) {
      for (std::int64_t i = 0; i < count * length; ++i) {
        const std::int64_t at = first * length + i;
        out[i] = view.dtype == io::DType::F64 ? static_cast<float>(load<double>(view.bytes, at))
                                              : float_at(view, at);
      }
    };
    reading.add(std::move(weight), {&view});
  }
}

}  // namespace loraproof::candidate
