// SPDX-License-Identifier: Apache-2.0
// Hands out the base's weights layer by layer, in the compute type, on the compute device: kept
// (resident) where they fit the memory budget, else read anew each sweep and given back (streamed).
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "loraproof/io/checkpoint.h"
#include "loraproof/model/decoder.h"
#include "loraproof/model/decoder_config.h"

namespace loraproof::engine {

struct StoreOptions {
  at::ScalarType compute = at::kBFloat16;
  at::Device device = at::kCPU;
  /// Bytes that weights may occupy; nothing: as much as they need.
  std::optional<std::uint64_t> memory_bytes;
  /// Called once per stored tensor, when it is first read (digests, norms). May be empty.
  std::function<void(const io::TensorView&)> on_first_read;
};

/// Not thread-safe. The checkpoint and the config must outlive the store.
class LayerStore {
 public:
  LayerStore(const io::Checkpoint& base, const model::DecoderConfig& config, StoreOptions options);

  [[nodiscard]] const model::DecoderConfig& config() const { return config_; }
  [[nodiscard]] at::ScalarType compute() const { return options_.compute; }
  [[nodiscard]] at::Device device() const { return options_.device; }
  [[nodiscard]] bool resident() const { return resident_; }
  /// Stored bytes read so far, every reading counted.
  [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }

  /// Layer `index`. Streamed: the layer before is given back, the next one announced to the kernel.
  [[nodiscard]] const model::LayerWeights& layer(std::int64_t index);
  /// Gives the last streamed layer back; nothing when resident.
  void release_layer();

  /// The embedding table [V, D] as stored (a view of the file on the CPU: only rows are read).
  [[nodiscard]] at::Tensor embedding_table();
  /// The final norm [D].
  [[nodiscard]] at::Tensor final_norm();
  /// Rows [begin, begin + count) of the head's weight [V, D], in the compute type on the device.
  [[nodiscard]] at::Tensor head_rows(std::int64_t begin, std::int64_t count);

 private:
  const io::TensorView& view(const std::string& name);
  at::Tensor load(const std::string& name);
  void give_back(std::int64_t index);

  const io::Checkpoint& base_;
  const model::DecoderConfig& config_;
  StoreOptions options_;
  bool resident_ = true;
  std::uint64_t bytes_read_ = 0;
  std::set<std::string> seen_;
  std::string head_name_;
  std::vector<std::optional<model::LayerWeights>> layers_;
  std::optional<std::int64_t> streamed_;
  at::Tensor final_norm_;
  at::Tensor head_;                    ///< whole head, resident only
  std::set<std::int64_t> head_reads_;  ///< streamed: first rows of the parts read in place
};

}  // namespace loraproof::engine
