// SPDX-License-Identifier: Apache-2.0
#include "support/guarded_device/memory.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <cstring>
#include <map>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

namespace loraproof::test {
namespace {

const c10::Device kDevice(c10::DeviceType::PrivateUse1, 0);

// Freed blocks by size: mapping a new one takes longer than most operators of a small model.
struct FreeBlocks {
  static constexpr std::size_t kMostBytes = std::size_t{64} << 20;
  std::mutex mutex;
  std::multimap<std::size_t, Block*> by_size;
  std::size_t bytes = 0;
};

FreeBlocks& free_blocks() {
  static auto* blocks = new FreeBlocks;  // outlives tensors that are freed at exit
  return *blocks;
}

void release_block(void* context) {
  auto* block = static_cast<Block*>(context);
  if (block == nullptr) return;
  FreeBlocks& free = free_blocks();
  {
    const std::lock_guard lock(free.mutex);
    if (free.bytes + block->mapped_bytes <= FreeBlocks::kMostBytes) {
      free.bytes += block->mapped_bytes;
      free.by_size.emplace(block->mapped_bytes, block);
      return;
    }
  }
  ::munmap(block->device, 2 * block->mapped_bytes);
  delete block;
}

Block* take_free(std::size_t mapped_bytes) {
  FreeBlocks& free = free_blocks();
  const std::lock_guard lock(free.mutex);
  const auto found = free.by_size.find(mapped_bytes);
  if (found == free.by_size.end()) return nullptr;
  Block* block = found->second;
  free.by_size.erase(found);
  free.bytes -= mapped_bytes;
  return block;
}

Block* map_block(std::size_t mapped_bytes) {
  void* found = ::mmap(nullptr, 2 * mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TORCH_CHECK(found != MAP_FAILED, "guarded: out of memory for ", mapped_bytes, " bytes");
  auto* device = static_cast<std::byte*>(found);
  const int opened = ::mprotect(device + mapped_bytes, mapped_bytes, PROT_READ | PROT_WRITE);
  TORCH_CHECK(opened == 0, "guarded: out of memory for ", mapped_bytes, " bytes");
  return new Block{device, device + mapped_bytes, mapped_bytes, {}};
}

struct GuardedAllocator final : public c10::Allocator {
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &release_block, kDevice};
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t mapped = (bytes + page - 1) / page * page;
    Block* block = take_free(mapped);
    if (block == nullptr) block = map_block(mapped);
    block->use = {.allocated_on = current_stream()};
    std::memset(block->host, 0xFF, bytes);
    return {block->device, block, &release_block, kDevice};
  }
  [[nodiscard]] c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void*, const void*, std::size_t) const override {
    TORCH_CHECK(false, "guarded: raw copies are not made");
  }
};

// Where pinned memory lies, by its first byte.
struct PinnedRanges {
  std::mutex mutex;
  std::map<const std::byte*, std::size_t> bytes;
};

PinnedRanges& pinned() {
  static auto* ranges = new PinnedRanges;  // outlives tensors that are freed at exit
  return *ranges;
}

void release_pinned(void* data) {
  {
    const std::lock_guard lock(pinned().mutex);
    pinned().bytes.erase(static_cast<const std::byte*>(data));
  }
  c10::GetDefaultCPUAllocator()->raw_deallocate(data);
}

struct PinnedAllocator final : public c10::Allocator {
  c10::DataPtr allocate(std::size_t bytes) override {
    void* data = c10::GetDefaultCPUAllocator()->raw_allocate(bytes);
    const std::lock_guard lock(pinned().mutex);
    if (data != nullptr) pinned().bytes[static_cast<const std::byte*>(data)] = bytes;
    return {data, data, &release_pinned, c10::Device(c10::DeviceType::CPU)};
  }
  [[nodiscard]] c10::DeleterFnPtr raw_deleter() const override { return &release_pinned; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

}  // namespace

c10::Allocator* guarded_allocator() {
  static auto* allocator = new GuardedAllocator;
  return allocator;
}

c10::Allocator* pinned_allocator() {
  static auto* allocator = new PinnedAllocator;
  return allocator;
}

bool is_pinned(const void* data) {
  const auto* address = static_cast<const std::byte*>(data);
  const std::lock_guard lock(pinned().mutex);
  const auto after = pinned().bytes.upper_bound(address);
  if (after == pinned().bytes.begin()) return false;
  const auto& [begin, bytes] = *std::prev(after);
  return address < begin + bytes;
}

Block* block_of(const c10::DataPtr& data) {
  TORCH_CHECK(data.get_deleter() == &release_block, "guarded: memory of another allocator");
  return static_cast<Block*>(data.get_context());
}

Block* block_of(const at::Tensor& tensor) { return block_of(tensor.storage().data_ptr()); }

at::Tensor host_view(const at::Tensor& tensor) {
  const at::TensorOptions options = at::TensorOptions(tensor.scalar_type());
  const Block* block = block_of(tensor);
  if (block == nullptr) return at::empty_strided(tensor.sizes(), tensor.strides(), options);
  const auto offset = static_cast<std::size_t>(tensor.storage_offset()) * tensor.itemsize();
  return at::from_blob(block->host + offset, tensor.sizes(), tensor.strides(), options);
}

void grow(const c10::Storage& storage, std::size_t bytes) {
  if (bytes <= storage.nbytes()) return;
  c10::DataPtr larger = guarded_allocator()->allocate(bytes);
  Block* to = block_of(larger);
  use_block(to->use, /*writes=*/true);
  if (Block* from = block_of(storage.data_ptr())) {
    use_block(from->use, /*writes=*/false);
    std::memcpy(to->host, from->host, storage.nbytes());
  }
  c10::StorageImpl* impl = storage.unsafeGetStorageImpl();
  impl->set_data_ptr_noswap(std::move(larger));
  impl->set_nbytes(bytes);
}

}  // namespace loraproof::test
