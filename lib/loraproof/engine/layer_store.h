// SPDX-License-Identifier: Apache-2.0
// Hands out the base's weights layer by layer, in the compute type, on the compute device. What
// fits the memory budget stays; the rest is read anew each sweep, one layer ahead of the
// computation on a thread of its own, and its pages are given back when it has passed.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "loraproof/engine/layer_loader.h"
#include "loraproof/engine/memory_plan.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/model/decoder.h"
#include "loraproof/model/decoder_config.h"

namespace loraproof::engine {

struct StoreOptions {
  at::ScalarType compute = at::kBFloat16;
  at::Device device = at::kCPU;
  /// Bytes that weights may occupy (memory_plan.h says what counts); nothing: all they need.
  std::optional<std::uint64_t> memory_bytes;
  /// Called once per stored tensor, from the thread that uses the store, when the tensor is first
  /// read (digests, norms). It may block: reading ahead goes on by one layer at most. The bytes
  /// stay readable; where view.loan is set, a copy of it keeps their pages from being given back.
  std::function<void(const io::TensorView&)> on_first_read;
};

/// Used from one thread. The checkpoint and the config must outlive the store.
class LayerStore {
 public:
  /// Warns when the budget is below what a single layer needs; the run then exceeds it.
  LayerStore(const io::Checkpoint& base, const model::DecoderConfig& config, StoreOptions options);
  LayerStore(const LayerStore&) = delete;
  LayerStore& operator=(const LayerStore&) = delete;

  [[nodiscard]] const model::DecoderConfig& config() const { return config_; }
  [[nodiscard]] at::ScalarType compute() const { return options_.compute; }
  [[nodiscard]] at::Device device() const { return options_.device; }
  [[nodiscard]] const MemoryPlan& plan() const { return plan_; }
  [[nodiscard]] bool resident() const { return plan_.resident(config_); }
  /// Stored bytes read so far, every reading counted. Rows of the embedding are not.
  [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }

  /// Layer `index`, valid until another layer is asked for or release_layer(). Layers asked for in
  /// order are read ahead. Throws what reading it threw, on whichever thread that was.
  [[nodiscard]] const model::LayerWeights& layer(std::int64_t index);
  /// Gives the last streamed layer back; nothing when it stays.
  void release_layer();
  /// Gives back what stayed, too. Whatever is asked for later is read again.
  void release_all();

  /// The embedding table [V, D] as stored (a view of the file on the CPU: only rows are read).
  [[nodiscard]] at::Tensor embedding_table();
  /// The final norm [D].
  [[nodiscard]] at::Tensor final_norm();
  /// Rows [begin, begin + count) of the head's weight [V, D], in the compute type on the device.
  /// Where the head does not stay, rows handed out before are read again when they are used again.
  [[nodiscard]] at::Tensor head_rows(std::int64_t begin, std::int64_t count);

 private:
  const io::TensorView& stored(const std::string& name) const;
  void see(const io::TensorView& view, const std::shared_ptr<const void>& loan);
  [[nodiscard]] bool stays(std::int64_t index) const { return index < plan_.kept_layers; }
  /// Without a budget that binds, pages are left to the kernel.
  [[nodiscard]] bool lends() const { return !resident(); }
  LoadedLayer take(std::int64_t index);
  void read_ahead(std::int64_t after);

  const io::Checkpoint& base_;
  const model::DecoderConfig& config_;
  StoreOptions options_;
  MemoryPlan plan_;
  LayerLoader loader_;
  std::string head_name_;
  std::uint64_t bytes_read_ = 0;
  std::set<std::string> seen_;
  std::vector<std::optional<LoadedLayer>> layers_;
  std::optional<std::int64_t> streamed_;  ///< the layer in layers_ that does not stay
  at::Tensor final_norm_;
  at::Tensor head_;                             ///< the whole head, where it stays
  std::shared_ptr<const void> head_loan_;       ///< pages of it, or of its last part
  std::shared_ptr<const void> embedding_loan_;  ///< pages of the rows that were looked up
  std::optional<std::int64_t> ahead_index_;
  std::future<LoadedLayer> ahead_;  ///< last: its thread uses what stands above
};

}  // namespace loraproof::engine
