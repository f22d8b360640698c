// SPDX-License-Identifier: Apache-2.0
// Reads safetensors files, mapped and without a copy. The header is checked whole before anything
// is handed out: a file that opens has tensors whose names, types, shapes and bytes agree with each
// other and with the file. Values are not looked at (NaN is the adapter check's business).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "loraproof/core/file.h"
#include "loraproof/io/tensor_view.h"

namespace loraproof::io {

/// Largest header the format allows (safetensors 0.8, MAX_HEADER_SIZE).
inline constexpr std::uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
/// More dimensions than any weight has; keeps hostile shapes short.
inline constexpr std::size_t kMaxTensorRank = 8;

/// The type with this name in a safetensors header, if loraproof reads it.
[[nodiscard]] std::optional<DType> dtype_from_name(std::string_view name);

/// Bytes of a dense tensor; nothing when a size is negative or the product does not fit 63 bits.
[[nodiscard]] std::optional<std::uint64_t> byte_count(DType dtype,
                                                      std::span<const std::int64_t> shape);

struct SafetensorsHeader {
  std::vector<TensorView> tensors;              ///< In the order of their bytes in the file.
  std::map<std::string, std::string> metadata;  ///< The `__metadata__` object.
  std::size_t data_begin = 0;                   ///< Offset of the first tensor byte.
};

/// Checks a whole safetensors file image and returns views into `bytes`. Throws an input Error that
/// names `file`, the tensor, what was expected and found. Stricter than the format in this: keys of
/// an entry other than dtype, shape, data_offsets, empty names and ranks over kMaxTensorRank are
/// refused, and so are element types loraproof does not read.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                                         std::string_view file);

/// An open safetensors file. Movable; views die with it. Const member functions are thread-safe.
class SafetensorsFile {
 public:
  /// Maps and checks the file; throws as parse_safetensors_header and MappedFile do.
  explicit SafetensorsFile(const std::filesystem::path& path);
  SafetensorsFile(SafetensorsFile&&) noexcept = default;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept = default;
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  /// In the order of their bytes in the file. Bytes need not be aligned to the element size: the
  /// format allows any header length. Copy elements out, or check the address before a cast.
  [[nodiscard]] std::span<const TensorView> tensors() const { return header_.tensors; }
  /// The tensor of that name, or nullptr.
  [[nodiscard]] const TensorView* find(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const {
    return header_.metadata;
  }
  [[nodiscard]] const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string_view, std::size_t> index_by_name_;  // keys live in header_.tensors
};

}  // namespace loraproof::io
