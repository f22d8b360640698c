// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/working_type.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "loraproof/io/narrow.h"

namespace loraproof::quant {

void round_to(io::DType dtype, std::span<float> values) {
  if (dtype == io::DType::F32) return;
  std::array<std::byte, 2048> room;
  while (!values.empty()) {
    const std::span part = values.first(std::min<std::size_t>(values.size(), room.size() / 2));
    const std::span bytes = std::span(room).first(2 * part.size());
    io::narrow(dtype, part, bytes);
    io::widen(dtype, bytes, part);
    values = values.subspan(part.size());
  }
}

float epsilon_of(io::DType dtype) {
  return dtype == io::DType::BF16 ? 0x1p-7F : dtype == io::DType::F16 ? 0x1p-10F : 0x1p-23F;
}

float smallest_normal_of(io::DType dtype) { return dtype == io::DType::F16 ? 0x1p-14F : 0x1p-126F; }

float largest_magnitude(std::span<const float> values) {
  std::int32_t largest = 0;
  for (const float value : values)
    largest = std::max(largest, std::bit_cast<std::int32_t>(value) & 0x7FFFFFFF);
  return std::bit_cast<float>(largest);
}

}  // namespace loraproof::quant
