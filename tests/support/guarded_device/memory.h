// SPDX-License-Identifier: Apache-2.0
// Memory of the guarded device. Each block has two ranges of addresses of the same size: the
// device's, which tensors show and which nothing may touch, and the host's, where operators
// compute.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Allocator.h>
#include <cstddef>

#include "support/guarded_device/streams.h"

namespace loraproof::test {

struct Block {
  std::byte* device = nullptr;  ///< PROT_NONE as long as the block lives
  std::byte* host = nullptr;
  std::size_t mapped_bytes = 0;  ///< of each range
  BlockUse use;
};

/// Fills each block with 0xFF (NaN as a float), so that memory nobody wrote shows in results.
[[nodiscard]] c10::Allocator* guarded_allocator();
/// Host memory that counts as pinned.
[[nodiscard]] c10::Allocator* pinned_allocator();
[[nodiscard]] bool is_pinned(const void* data);

/// The block that a DataPtr of the device owns; null for one of no bytes.
[[nodiscard]] Block* block_of(const c10::DataPtr& data);
[[nodiscard]] Block* block_of(const at::Tensor& tensor);

/// A CPU tensor over the same elements, for operators of the device. `tensor` must outlive it.
[[nodiscard]] at::Tensor host_view(const at::Tensor& tensor);

/// Makes the storage at least `bytes` large; what it held stays.
void grow(const c10::Storage& storage, std::size_t bytes);

}  // namespace loraproof::test
