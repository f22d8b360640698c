// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/tensor_values.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "loraproof/core/error.h"

namespace loraproof::adapter {
namespace {

using io::DType;

template <typename Stored>
Stored stored_at(const std::byte* bytes) {
  Stored value;
  std::memcpy(&value, bytes, sizeof(Stored));  // a tensor of a safetensors file may lie anywhere
  return value;
}

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of fraction.
float from_f16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0) {  // zero or subnormal: fraction · 2^-24
    const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 0x1f ? 0xffu : exponent + (127 - 15);
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

/// Calls visit(float) for each value.
template <typename Visit>
void for_values(const io::TensorView& view, Visit visit) {
  const std::byte* at = view.bytes.data();
  const std::byte* const end = at + view.bytes.size();
  switch (view.dtype) {
    case DType::BF16:
      for (; at < end; at += 2) visit(from_bf16(stored_at<std::uint16_t>(at)));
      return;
    case DType::F16:
      for (; at < end; at += 2) visit(from_f16(stored_at<std::uint16_t>(at)));
      return;
    case DType::F32:
      for (; at < end; at += 4) visit(stored_at<float>(at));
      return;
    case DType::F64:
      for (; at < end; at += 8) visit(static_cast<float>(stored_at<double>(at)));
      return;
    default:
      throw internal_error(
          {.message = "a tensor that is not BF16, F16, F32 or F64", .where = view.name});
  }
}

}  // namespace

std::vector<double> values_of(const io::TensorView& view) {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(view.numel()));
  for_values(view, [&](float value) { values.push_back(value); });
  return values;
}

bool is_zero(const io::TensorView& view) {
  bool zero = true;
  for_values(view, [&](float value) { zero = zero && value == 0.0f; });
  return zero;
}

NonFinite count_non_finite(const io::TensorView& view) {
  NonFinite found;
  for_values(view, [&](float value) {
    found.nans += std::isnan(value) ? 1 : 0;
    found.infinities += std::isinf(value) ? 1 : 0;
  });
  return found;
}

}  // namespace loraproof::adapter
