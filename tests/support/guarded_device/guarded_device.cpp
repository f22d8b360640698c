// SPDX-License-Identifier: Apache-2.0
#include "support/guarded_device/guarded_device.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <atomic>
#include <torch/library.h>

#include "support/guarded_device/fallback.h"
#include "support/guarded_device/memory.h"
#include "support/guarded_device/streams.h"

namespace loraproof::test {
namespace {

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

std::atomic<std::uint64_t> host_copies{0};

struct Hooks final : public at::PrivateUse1HooksInterface {
  [[nodiscard]] bool isBuilt() const override { return true; }
  [[nodiscard]] bool isAvailable() const override { return true; }
  [[nodiscard]] bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  [[nodiscard]] c10::DeviceIndex deviceCount() const override { return 1; }
  [[nodiscard]] c10::DeviceIndex getCurrentDevice() const override { return 0; }
  [[nodiscard]] c10::Allocator* getPinnedMemoryAllocator() const override {
    return pinned_allocator();
  }
  [[nodiscard]] bool isPinnedPtr(const void* data) const override { return is_pinned(data); }
  void resizePrivateUse1Bytes(const c10::Storage& storage, std::size_t bytes) const override {
    grow(storage, bytes);
  }
};

at::Tensor empty(c10::IntArrayRef size, std::optional<c10::ScalarType> type,
                 std::optional<c10::Layout>, std::optional<c10::Device>, std::optional<bool> pinned,
                 std::optional<c10::MemoryFormat> format) {
  TORCH_CHECK(!pinned.value_or(false), "Only dense CPU tensors can be pinned");
  return at::detail::empty_generic(size, guarded_allocator(), kKeys, c10::dtype_or_default(type),
                                   format);
}

at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride,
                         std::optional<c10::ScalarType> type, std::optional<c10::Layout>,
                         std::optional<c10::Device>, std::optional<bool> pinned) {
  TORCH_CHECK(!pinned.value_or(false), "Only dense CPU tensors can be pinned");
  return at::detail::empty_strided_generic(size, stride, guarded_allocator(), kKeys,
                                           c10::dtype_or_default(type));
}

at::Tensor as_strided(const at::Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride,
                      std::optional<std::int64_t> offset) {
  return at::native::as_strided_tensorimpl(self, size, stride, offset);
}

at::Tensor view(const at::Tensor& self, c10::IntArrayRef size) {
  return at::native::view(self, size);
}

at::Tensor reshape_alias(const at::Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride) {
  return at::native::_reshape_alias(self, size, stride);
}

at::Tensor unfold(const at::Tensor& self, std::int64_t dim, std::int64_t size, std::int64_t step) {
  return at::native::unfold(self, dim, size, step);
}

const at::Tensor& resize(const at::Tensor& self, c10::IntArrayRef size,
                         std::optional<c10::MemoryFormat> format) {
  TORCH_CHECK(format.value_or(c10::MemoryFormat::Contiguous) == c10::MemoryFormat::Contiguous,
              "guarded: resize_ makes contiguous tensors");
  c10::TensorImpl* impl = self.unsafeGetTensorImpl();
  impl->set_sizes_contiguous(size);
  const auto elements = static_cast<std::size_t>(self.storage_offset() + self.numel());
  grow(self.storage(), elements * self.itemsize());
  return self;
}

at::Tensor& set_storage(at::Tensor& self, at::Storage source, std::int64_t offset,
                        c10::IntArrayRef size, c10::IntArrayRef stride) {
  c10::TensorImpl* impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(source));
  impl->set_storage_offset(offset);
  if (stride.empty() && !size.empty()) {
    impl->set_sizes_contiguous(size);
  } else {
    impl->set_sizes_and_strides(size, stride);
  }
  return self;
}

at::Tensor& set_tensor(at::Tensor& self, const at::Tensor& source) {
  return set_storage(self, source.storage(), source.storage_offset(), source.sizes(),
                     source.strides());
}

void use(const at::Tensor& tensor, bool writes) {
  if (!tensor.is_privateuseone()) return;
  if (Block* block = block_of(tensor)) use_block(block->use, writes);
}

at::Tensor view_of_either(const at::Tensor& tensor) {
  return tensor.is_privateuseone() ? host_view(tensor) : tensor;
}

at::Tensor copy_from(const at::Tensor& self, const at::Tensor& to, bool non_blocking) {
  use(self, /*writes=*/false);
  use(to, /*writes=*/true);
  view_of_either(to).copy_(view_of_either(self));
  const bool crosses = self.device() != to.device();
  host_copies += crosses ? 1 : 0;
  if (crosses && !non_blocking) host_waited();
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& self, const at::Tensor& to) {
  to.resize_(self.sizes());
  return copy_from(self, to, /*non_blocking=*/false);
}

at::Scalar local_scalar_dense(const at::Tensor& self) {
  use(self, /*writes=*/false);
  host_waited();
  return host_view(self).item();
}

void record_on_stream(at::Tensor& self, c10::Stream stream) {
  if (Block* block = block_of(self)) record_stream(block->use, stream.id());
}

// The math path: its parts are operators of the device. sdp::SDPBackend::math is 0.
void fused_sdp_choice(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  torch::jit::drop(stack, op.schema().arguments().size());
  torch::jit::push(stack, std::int64_t{0});
}

void register_kernels(torch::Library& aten) {
  aten.impl("empty.memory_format", &empty);
  aten.impl("empty_strided", &empty_strided);
  aten.impl("as_strided", &as_strided);
  aten.impl("view", &view);
  aten.impl("_reshape_alias", &reshape_alias);
  aten.impl("unfold", &unfold);
  aten.impl("resize_", &resize);
  aten.impl("set_.source_Storage_storage_offset", &set_storage);
  aten.impl("set_.source_Tensor", &set_tensor);
  aten.impl("_copy_from", &copy_from);
  aten.impl("_copy_from_and_resize", &copy_from_and_resize);
  aten.impl("_local_scalar_dense", &local_scalar_dense);
  aten.impl("record_stream", &record_on_stream);
  aten.impl("_fused_sdp_choice", torch::CppFunction::makeFromBoxedFunction<&fused_sdp_choice>());
}

at::Device register_device() {
  c10::register_privateuse1_backend(kGuardedName);
  c10::SetAllocator(c10::DeviceType::PrivateUse1, guarded_allocator());
  register_streams();
  static Hooks hooks;
  at::RegisterPrivateUse1HooksInterface(&hooks);
  // Kept: a library that goes takes its kernels with it.
  static auto* aten = new torch::Library(torch::Library::IMPL, "aten",
                                         c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
  register_kernels(*aten);
  static auto* all = new torch::Library(torch::Library::IMPL, "_", c10::DispatchKey::PrivateUse1,
                                        __FILE__, __LINE__);
  all->fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
  // Thousands of small operators: on a busy machine a team of threads waits longer than it works.
  at::set_num_threads(1);
  return {c10::DeviceType::PrivateUse1, 0};
}

}  // namespace

at::Device guarded_device() {
  static const at::Device device = register_device();
  return device;
}

GuardedCounts guarded_counts() { return {operators_run(), host_copies}; }

}  // namespace loraproof::test
