// SPDX-License-Identifier: Apache-2.0
// Reads GGUF files (versions 2 and 3, little-endian), mapped and without a copy. Every count,
// length, offset and product is checked before it is used: a file that opens has values and tensors
// that lie inside it. What keys and tensors mean is the business of candidate/.
// Format: docs/gguf.md of ggml; limits as gguf.cpp has them.
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
#include "loraproof/io/ggml_types.h"

namespace loraproof::io {

enum class GgufType : std::uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12
};
/// "uint32", "string", ...
[[nodiscard]] std::string_view name_of(GgufType type);

/// One value of the metadata: a view into the file.
struct GgufValue {
  GgufType type = GgufType::U8;
  GgufType element = GgufType::U8;   ///< Of an array; otherwise as `type`.
  std::uint64_t count = 1;           ///< Elements of an array; otherwise 1.
  std::span<const std::byte> bytes;  ///< The elements as stored, without type and count.

  /// Nothing where the value is of another kind (or, for integer, does not fit 63 bits).
  [[nodiscard]] std::optional<std::int64_t> integer() const;
  [[nodiscard]] std::optional<double> number() const;  ///< Whole numbers count, too.
  [[nodiscard]] std::optional<bool> boolean() const;
  [[nodiscard]] std::optional<std::string_view> text() const;
  /// Elements of an array of strings, or of whole numbers (booleans count).
  [[nodiscard]] std::optional<std::vector<std::string_view>> texts() const;
  [[nodiscard]] std::optional<std::vector<std::int64_t>> integers() const;
};

struct GgufTensor {
  std::string name;
  const GgmlType* type = nullptr;
  /// Outermost first, as torch has it: the file stores sizes in the other order.
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

struct GgufHeader {
  std::uint32_t version = 0;
  std::uint64_t alignment = 32;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<GgufTensor> tensors;  ///< In the order of the file's table.
};

/// Checks a whole file image and returns views into `bytes`. Throws an input Error that names
/// `file`, the key or the tensor, what was expected and found. Stricter than the format: nested
/// arrays, duplicate keys and tensors that share bytes are refused.
[[nodiscard]] GgufHeader parse_gguf(std::span<const std::byte> bytes, std::string_view file);

/// An open GGUF file. Movable; views die with it. Const member functions are thread-safe.
class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  [[nodiscard]] std::uint32_t version() const { return header_.version; }
  [[nodiscard]] const std::map<std::string, GgufValue, std::less<>>& metadata() const {
    return header_.metadata;
  }
  /// The value of that key, or nullptr.
  [[nodiscard]] const GgufValue* value(std::string_view key) const;
  [[nodiscard]] std::span<const GgufTensor> tensors() const { return header_.tensors; }
  /// The tensor of that name, or nullptr.
  [[nodiscard]] const GgufTensor* find(std::string_view name) const;
  [[nodiscard]] const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  GgufHeader header_;
  std::unordered_map<std::string_view, std::size_t> index_by_name_;  // keys live in header_.tensors
};

}  // namespace loraproof::io
