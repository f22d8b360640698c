// SPDX-License-Identifier: Apache-2.0
#include "loraproof/tensor/from_view.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <vector>

#include "loraproof/core/error.h"

namespace loraproof::tensor {

at::ScalarType scalar_type_of(io::DType dtype, std::string_view tensor_name) {
  switch (dtype) {
    case io::DType::Bool: return at::kBool;
    case io::DType::U8: return at::kByte;
    case io::DType::I8: return at::kChar;
    case io::DType::I16: return at::kShort;
    case io::DType::I32: return at::kInt;
    case io::DType::I64: return at::kLong;
    case io::DType::F16: return at::kHalf;
    case io::DType::BF16: return at::kBFloat16;
    case io::DType::F32: return at::kFloat;
    case io::DType::F64: return at::kDouble;
    case io::DType::F8E4M3: return at::kFloat8_e4m3fn;
    case io::DType::F8E5M2: return at::kFloat8_e5m2;
    case io::DType::F8E8M0: return at::kFloat8_e8m0fnu;
    case io::DType::U16: return at::kUInt16;
    case io::DType::U32: return at::kUInt32;
    case io::DType::U64: return at::kUInt64;
  }
  throw internal_error({.message = "unknown element type", .where = std::string(tensor_name)});
}

io::DType dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kBFloat16: return io::DType::BF16;
    case at::kHalf: return io::DType::F16;
    case at::kFloat: return io::DType::F32;
    case at::kDouble: return io::DType::F64;
    default: throw internal_error({.message = "not a type of weights"});
  }
}

at::Tensor tensor_of(const io::TensorView& view) {
  const auto options = at::TensorOptions(scalar_type_of(view.dtype, view.name));
  if (view.bytes.empty()) return at::empty(view.shape, options);
  // Readers promise not to write; from_blob has no const form.
  void* data = const_cast<std::byte*>(view.bytes.data());
  const bool aligned = reinterpret_cast<std::uintptr_t>(data) % io::size_of(view.dtype) == 0;
  if (aligned) return at::from_blob(data, view.shape, options);
  at::Tensor copy = at::empty(view.shape, options);
  std::copy_n(view.bytes.data(), view.bytes.size(), static_cast<std::byte*>(copy.data_ptr()));
  return copy;
}

void expect_shape(const io::TensorView& view, std::initializer_list<std::int64_t> expected,
                  std::string_view file) {
  if (std::ranges::equal(view.shape, expected)) return;
  throw input_error({.message = "tensor has the wrong shape for this config.json",
                     .file = std::string(file),
                     .where = view.name,
                     .expected = io::shape_text(std::vector<std::int64_t>(expected)),
                     .found = io::shape_text(view.shape),
                     .hint = "do config.json and the weights belong together?"});
}

void expect_shape(const at::Tensor& tensor, std::initializer_list<std::int64_t> expected,
                  std::string_view name) {
  if (std::ranges::equal(tensor.sizes(), expected)) return;
  throw internal_error({.message = "tensor has the wrong shape",
                        .where = std::string(name),
                        .expected = io::shape_text(std::vector<std::int64_t>(expected)),
                        .found = io::shape_text(tensor.sizes().vec())});
}

}  // namespace loraproof::tensor
