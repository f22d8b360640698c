// SPDX-License-Identifier: Apache-2.0
// Digests of a base file's tensors, taken from the pieces that a merge reads anyway. For this
// module only.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "loraproof/io/digest.h"
#include "loraproof/io/safetensors.h"
#include "loraproof/merge/background.h"

namespace loraproof::merge {

class SourceDigests {
 public:
  explicit SourceDigests(const io::SafetensorsFile& file) : file_(file) {}

  /// Pieces of one tensor in their order, all of them before those of the next. `owner` keeps the
  /// bytes alive until they have been seen.
  void add(const io::TensorView& tensor, std::span<const std::byte> piece,
           const std::shared_ptr<const void>& owner);
  /// Waits; reads the tensors of which nothing was added.
  [[nodiscard]] io::DigestByName finish();

 private:
  void end_tensor();

  const io::SafetensorsFile& file_;
  // Used on the thread until finish() has waited for it.
  io::DigestByName digests_;
  std::optional<io::TensorHash> hash_;
  const io::TensorView* tensor_ = nullptr;
  Background thread_{4};
};

}  // namespace loraproof::merge
