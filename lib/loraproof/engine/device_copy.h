// SPDX-License-Identifier: Apache-2.0
// Weights on their way to an accelerator: from pinned host memory, on a stream of their own, so
// that the copy of one layer runs beside the computation of the one before. Written against c10's
// device-neutral streams and events, so it compiles with every libtorch.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <memory>
#include <span>

namespace loraproof::engine {

/// One thread at a time may send; wait() belongs to the thread that computes.
class DeviceCopy {
 public:
  /// Null for the CPU, where nothing has to travel.
  [[nodiscard]] static std::unique_ptr<DeviceCopy> to(at::Device device);

  /// A host tensor that send() can read without a further copy: pinned. libtorch's cache of pinned
  /// memory hands a block out again only when the copy from it is done, so filling the next layer
  /// alternates between the blocks of two layers.
  [[nodiscard]] static at::Tensor host_buffer(at::IntArrayRef shape, at::ScalarType type);

  /// Starts the copy of `host` and returns the device tensor, not ready yet.
  [[nodiscard]] at::Tensor send(const at::Tensor& host);
  /// Marks everything sent so far.
  [[nodiscard]] c10::Event sent();
  /// Makes the current stream of the calling thread wait for `sent`, and keeps the memory of
  /// `tensors` from being reused while that stream works with them.
  static void wait(const c10::Event& sent, std::span<const at::Tensor> tensors);

 private:
  explicit DeviceCopy(c10::Stream stream) : stream_(stream) {}
  c10::Stream stream_;
};

}  // namespace loraproof::engine
