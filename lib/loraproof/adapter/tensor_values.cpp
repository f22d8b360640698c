// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/tensor_values.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"

namespace loraproof::adapter {
namespace {

using io::DType;

template <typename Stored>
Stored stored_at(const std::byte* bytes) {
  Stored value;
  std::memcpy(&value, bytes, sizeof(Stored));  // a tensor of a safetensors file may lie anywhere
  return value;
}

// The binary16 of a value that has one exactly; nothing for others.
std::optional<std::uint16_t> to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const int exponent = static_cast<int>((bits >> 23) & 0xffu) - 127;
  const std::uint32_t fraction = bits & 0x7fffffu;
  if ((bits & 0x7fffffffu) == 0) return sign;
  if (exponent >= -14 && exponent <= 15) {
    if ((fraction & 0x1fffu) != 0) return std::nullopt;
    return static_cast<std::uint16_t>(sign | ((exponent + 15) << 10) | (fraction >> 13));
  }
  if (exponent < -24 || exponent > 15) return std::nullopt;
  const int dropped = 13 + (-14 - exponent);  // subnormal: the leading 1 becomes a bit of it
  const std::uint32_t significand = fraction | 0x800000u;
  if ((significand & ((1u << dropped) - 1u)) != 0) return std::nullopt;
  return static_cast<std::uint16_t>(sign | (significand >> dropped));
}

// The bfloat16 of a value that has one exactly.
std::optional<std::uint16_t> to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0xffffu) != 0) return std::nullopt;
  return static_cast<std::uint16_t>(bits >> 16);
}

/// Calls visit(float) for each value.
template <typename Visit>
void for_values(const io::TensorView& view, Visit visit) {
  const std::byte* at = view.bytes.data();
  const std::byte* const end = at + view.bytes.size();
  switch (view.dtype) {
    case DType::BF16:
      for (; at < end; at += 2) visit(io::bf16_value(stored_at<std::uint16_t>(at)));
      return;
    case DType::F16:
      for (; at < end; at += 2) visit(io::f16_value(stored_at<std::uint16_t>(at)));
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

std::optional<Narrowed> narrowed(const io::TensorView& view) {
  if (view.dtype != DType::F32 && view.dtype != DType::F16) return std::nullopt;
  const auto all_as = [&](DType dtype, auto convert) -> std::optional<Narrowed> {
    Narrowed result{dtype, std::vector<std::byte>(static_cast<std::size_t>(view.numel()) * 2)};
    std::byte* to = result.bytes.data();
    bool exact = true;
    for_values(view, [&](float value) {
      const std::optional<std::uint16_t> bits = exact ? convert(value) : std::nullopt;
      exact = bits.has_value();
      if (exact) std::memcpy(to, &*bits, 2), to += 2;
    });
    return exact ? std::optional(std::move(result)) : std::nullopt;
  };
  if (auto brain = all_as(DType::BF16, to_bf16)) return brain;
  return view.dtype == DType::F32 ? all_as(DType::F16, to_f16) : std::nullopt;
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
