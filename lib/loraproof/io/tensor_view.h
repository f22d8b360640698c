// SPDX-License-Identifier: Apache-2.0
// A named tensor inside a mapped file: dtype, shape and bytes, no copy. The border to libtorch is
// tensor/, so that this module and its tests build without it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace loraproof::io {

/// Element types of safetensors 0.8 that loraproof reads.
enum class DType {
  Bool,
  U8,
  I8,
  U16,
  I16,
  F16,
  BF16,
  U32,
  I32,
  F32,
  U64,
  I64,
  F64,
  F8E4M3,
  F8E5M2,
  F8E8M0  ///< Powers of two: the scales of MX formats.
};

/// Bytes of one element.
[[nodiscard]] std::size_t size_of(DType dtype);
/// The name used in safetensors headers: "BF16", "F8_E4M3", ...
[[nodiscard]] std::string_view name_of(DType dtype);
[[nodiscard]] bool is_floating(DType dtype);

/// Valid as long as the file object that handed it out.
struct TensorView {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
  /// Set where the pages behind `bytes` are only on loan (Checkpoint::lend): who still reads them
  /// later keeps a copy. Null: they stay.
  std::shared_ptr<const void> loan = nullptr;

  [[nodiscard]] std::int64_t numel() const;
};

/// "[8, 576]"
[[nodiscard]] std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace loraproof::io
