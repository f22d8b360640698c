// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/narrow.h"

#include <cstring>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"

namespace loraproof::io {
namespace {

// As f16_value(), without branches: the exponent is corrected by a product, which is exact, also
// for subnormal numbers.
float f16_bulk_value(std::uint16_t bits) {
  const std::uint32_t magnitude = static_cast<std::uint32_t>(bits & 0x7FFFU) << 13;
  const float finite = std::bit_cast<float>(magnitude) * 0x1p112F;
  const std::uint32_t special = magnitude | 0x7F800000U;
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  return std::bit_cast<float>(sign | ((bits & 0x7C00U) == 0x7C00U
                                          ? special
                                          : std::bit_cast<std::uint32_t>(finite)));
}

[[noreturn]] void refuse(DType dtype) {
  throw internal_error({.message = "a tensor that is not BF16, F16 or F32",
                        .found = std::string(name_of(dtype))});
}

}  // namespace

void widen(DType dtype, std::span<const std::byte> bytes, std::span<float> out) {
  const std::byte* at = bytes.data();
  std::uint16_t stored = 0;
  switch (dtype) {
    case DType::BF16:
      for (std::size_t i = 0; i < out.size(); ++i) {
        std::memcpy(&stored, at + 2 * i, 2);
        out[i] = bf16_value(stored);
      }
      return;
    case DType::F16:
      for (std::size_t i = 0; i < out.size(); ++i) {
        std::memcpy(&stored, at + 2 * i, 2);
        out[i] = f16_bulk_value(stored);
      }
      return;
    case DType::F32: std::memcpy(out.data(), at, out.size_bytes()); return;
    default: refuse(dtype);
  }
}

void narrow(DType dtype, std::span<const float> values, std::span<std::byte> bytes) {
  std::byte* at = bytes.data();
  std::uint16_t stored = 0;
  switch (dtype) {
    case DType::BF16:
      for (std::size_t i = 0; i < values.size(); ++i) {
        stored = bf16_bits(values[i]);
        std::memcpy(at + 2 * i, &stored, 2);
      }
      return;
    case DType::F16:
      for (std::size_t i = 0; i < values.size(); ++i) {
        stored = f16_bits(values[i]);
        std::memcpy(at + 2 * i, &stored, 2);
      }
      return;
    case DType::F32: std::memcpy(at, values.data(), values.size_bytes()); return;
    default: refuse(dtype);
  }
}

}  // namespace loraproof::io
