// SPDX-License-Identifier: Apache-2.0
// Writes safetensors files, tensor by tensor, so that a checkpoint larger than memory can be
// written. Never overwrites: outputs are staged (AtomicFolder) or new, and the file being read may
// be mapped elsewhere in this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "loraproof/io/tensor_view.h"

namespace loraproof::io {

/// A tensor of the file to be: everything but its bytes.
struct TensorSpec {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
};

/// What a file of these tensors begins with: the size of the header and the header, padded with
/// spaces so that the data begins at a multiple of 8. Internal Error for duplicate or reserved
/// names and impossible shapes; `path` is for its message.
[[nodiscard]] std::string safetensors_header(const std::vector<TensorSpec>& specs,
                                             const std::map<std::string, std::string>& metadata,
                                             const std::filesystem::path& path);

/// One file in the making. The header is written first, then the bytes in the order of the specs;
/// a file that was not finished is removed by the destructor. Errors (path exists, no permission,
/// disk full) are input Errors that name the path; duplicate names and wrong byte counts internal.
class SafetensorsWriter {
 public:
  /// Creates `path`. The header is padded with spaces so that the data begins at a multiple of 8;
  /// tensors follow each other without gaps, so one is aligned only if those before it allow it.
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorSpec> specs,
                    const std::map<std::string, std::string>& metadata = {});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  /// Appends bytes of the current tensor; any chunking within one tensor is fine.
  void append(std::span<const std::byte> bytes);
  /// Checks that all bytes came, fsyncs and closes.
  void finish();

 private:
  void write(std::span<const std::byte> bytes);

  std::filesystem::path path_;
  std::vector<TensorSpec> specs_;
  std::size_t current_ = 0;    // index into specs_ of the tensor that append() fills
  std::uint64_t missing_ = 0;  // bytes that it still lacks
  int descriptor_ = -1;
  bool finished_ = false;
};

/// Writes all tensors, in the given order.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace loraproof::io
