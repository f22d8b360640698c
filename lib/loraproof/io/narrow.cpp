// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/narrow.h"

#include <cstring>

#include "loraproof/core/error.h"

namespace loraproof::io {
namespace {

[[noreturn]] void refuse(DType dtype) {
  throw internal_error(
      {.message = "a tensor that is not BF16, F16 or F32", .found = std::string(name_of(dtype))});
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
        out[i] = f16_value(stored);
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
