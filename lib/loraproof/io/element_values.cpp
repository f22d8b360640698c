// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/element_values.h"

#include <algorithm>
#include <cstring>

#include "loraproof/core/error.h"

namespace loraproof::io {
namespace {

template <typename Stored>
Stored load(const std::byte* at) {
  Stored value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

void widen(DType dtype, std::span<const std::byte> bytes, std::span<double> out) {
  const std::byte* at = bytes.data();
  switch (dtype) {
    case DType::BF16:
      for (double& value : out) {
        value = bf16_value(load<std::uint16_t>(at));
        at += 2;
      }
      return;
    case DType::F16:
      for (double& value : out) {
        value = f16_value(load<std::uint16_t>(at));
        at += 2;
      }
      return;
    case DType::F32:
      for (double& value : out) {
        value = load<float>(at);
        at += 4;
      }
      return;
    case DType::F64: std::memcpy(out.data(), at, out.size_bytes()); return;
    default:
      throw internal_error({.message = "a tensor that is not BF16, F16, F32 or F64",
                            .found = std::string(name_of(dtype))});
  }
}

std::vector<double> widened(const TensorView& view) {
  std::vector<double> values(static_cast<std::size_t>(view.numel()));
  widen(view.dtype, view.bytes, values);
  return values;
}

std::int64_t count_differing(const TensorView& a, const TensorView& b) {
  if (a.shape != b.shape) return std::max(a.numel(), b.numel());
  if (a.dtype == b.dtype && std::ranges::equal(a.bytes, b.bytes)) return 0;
  constexpr std::size_t kBlock = std::size_t{1} << 16;
  std::vector<double> left(kBlock), right(kBlock);
  std::int64_t differing = 0;
  const auto total = static_cast<std::size_t>(a.numel());
  for (std::size_t first = 0; first < total; first += kBlock) {
    const std::size_t count = std::min(kBlock, total - first);
    const auto block = [&](const TensorView& view, std::vector<double>& values) {
      const std::size_t size = size_of(view.dtype);
      widen(view.dtype, view.bytes.subspan(first * size, count * size),
            std::span(values).first(count));
    };
    block(a, left);
    block(b, right);
    for (std::size_t i = 0; i < count; ++i) differing += left[i] != right[i] ? 1 : 0;
  }
  return differing;
}

}  // namespace loraproof::io
