// SPDX-License-Identifier: Apache-2.0
// The weights of a Hugging Face model folder as one name → view map, whether they lie in one
// safetensors file or in shards. Knows nothing of architectures: which names must be there, and
// what a quantization_config means, is the business of the layers above.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "loraproof/io/safetensors.h"
#include "loraproof/io/tensor_view.h"

namespace loraproof::io {

/// An open model folder. Movable; views die with it. Const member functions are thread-safe.
class Checkpoint {
 public:
  /// Opens `model.safetensors` or, without it, the shards that `model.safetensors.index.json` names
  /// (as transformers modeling_utils.py: the single file wins; other files are never read). Throws
  /// an input Error when a file is malformed, when index and shards disagree in any tensor, or when
  /// the folder holds weights only as pickle or GGUF (refused, with the way to convert).
  static Checkpoint open(const std::filesystem::path& folder);

  /// The tensor of that name, or nullptr.
  [[nodiscard]] const TensorView* find(std::string_view name) const;
  /// All tensors, sorted by name (byte order), whatever the sharding.
  [[nodiscard]] std::span<const TensorView> views() const { return views_; }
  /// The files the tensors come from, sorted by file name.
  [[nodiscard]] std::span<const SafetensorsFile> files() const { return files_; }
  /// The file that holds the bytes of `view`; an internal Error for a view of something else.
  [[nodiscard]] const SafetensorsFile& file_of(const TensorView& view) const;
  /// Sum of the tensors' bytes.
  [[nodiscard]] std::uint64_t total_bytes() const { return total_bytes_; }

  /// Advice to the kernel: these bytes will be read soon; their pages may go.
  void will_need(const TensorView& view) const;
  void done_with(const TensorView& view) const;
  /// Reads the bytes now; MappedFile::read_in says what it throws.
  void read_in(const TensorView& view) const;
  /// A handle on the pages of these tensors: they are given back when its last copy goes. Tensors
  /// that lie side by side share their border pages. The checkpoint must outlive the handle.
  [[nodiscard]] std::shared_ptr<const void> lend(std::span<const TensorView> views) const;

 private:
  explicit Checkpoint(std::vector<SafetensorsFile> files);

  std::vector<SafetensorsFile> files_;
  std::vector<TensorView> views_;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace loraproof::io
