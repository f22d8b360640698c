// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/device_copy.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace loraproof::engine {

std::unique_ptr<DeviceCopy> DeviceCopy::to(at::Device device) {
  if (device.is_cpu()) return nullptr;
  const c10::impl::VirtualGuardImpl backend(device.type());
  return std::unique_ptr<DeviceCopy>(new DeviceCopy(backend.getStreamFromGlobalPool(device)));
}

at::Tensor DeviceCopy::host_buffer(at::IntArrayRef shape, at::ScalarType type) {
  return at::empty(shape, at::TensorOptions(type).pinned_memory(true));
}

at::Tensor DeviceCopy::send(const at::Tensor& host) {
  // The device tensor is allocated under the copy's stream, so reuse of its memory is ordered with
  // later copies; wait() orders it with the computation.
  const c10::StreamGuard on_own_stream(stream_);
  const at::TensorOptions options = host.options().device(stream_.device()).pinned_memory(false);
  at::Tensor there = at::empty(host.sizes(), options);
  there.copy_(host, /*non_blocking=*/true);
  return there;
}

c10::Event DeviceCopy::sent() {
  c10::Event event(stream_.device_type());
  event.record(stream_);
  return event;
}

void DeviceCopy::wait(const c10::Event& sent, std::span<const at::Tensor> tensors) {
  if (tensors.empty()) return;
  const at::Device device = tensors.front().device();
  const c10::impl::VirtualGuardImpl backend(device.type());
  const c10::Stream current = backend.getStream(device);
  sent.block(current);
  for (const at::Tensor& tensor : tensors) tensor.record_stream(current);
}

}  // namespace loraproof::engine
