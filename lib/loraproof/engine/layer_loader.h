// SPDX-License-Identifier: Apache-2.0
// Brings stored weights into the compute type on the compute device. load() runs on the prefetching
// thread: it uses no libtorch parallelism, so it does not compete with the computation for a team
// of threads, and it reads every byte itself, so a failing file is an Error and not a crash.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <cstdint>
#include <memory>
#include <optional>

#include "loraproof/engine/device_copy.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/model/decoder.h"
#include "loraproof/model/decoder_config.h"

namespace loraproof::engine {

struct LoadedLayer {
  model::LayerWeights weights;
  /// The pages of the file that the weights are views of, or that were read for them. Null: they
  /// stay mapped in.
  std::shared_ptr<const void> loan;
  bool in_place = false;  ///< some weights are views: the loan is theirs as long as they are used
  std::uint64_t bytes_read = 0;
  std::optional<c10::Event> sent;  ///< accelerators: when the weights have arrived
};

/// One load at a time. Checkpoint and config must outlive it.
class LayerLoader {
 public:
  LayerLoader(const io::Checkpoint& base, const model::DecoderConfig& config,
              at::ScalarType compute, at::Device device);

  /// Reads a layer. `lend`: pages are lent (LoadedLayer::loan); else those of views stay mapped in.
  /// Throws an input Error when the file can't be read.
  [[nodiscard]] LoadedLayer load(std::int64_t index, bool lend) const;

  /// Tells the kernel that this layer is read soon.
  void announce(std::int64_t index) const;

  /// One tensor, ready for use on the calling thread. Pages that it is no view of are given back.
  [[nodiscard]] at::Tensor tensor(const io::TensorView& view) const;

  /// True when tensor() is a view of the mapped file: right type, aligned, on the CPU.
  [[nodiscard]] bool in_place(const io::TensorView& view) const;

 private:
  /// Same, but on an accelerator the copy has only been started.
  [[nodiscard]] at::Tensor begin_tensor(const io::TensorView& view) const;

  const io::Checkpoint& base_;
  const model::DecoderConfig& config_;
  at::ScalarType compute_;
  at::Device device_;
  std::unique_ptr<DeviceCopy> copy_;
};

}  // namespace loraproof::engine
