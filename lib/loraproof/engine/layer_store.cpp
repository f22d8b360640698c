// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/layer_store.h"

#include <ATen/ATen.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::engine {
namespace {

std::uint64_t converted_bytes(const io::Checkpoint& base, at::ScalarType compute) {
  std::uint64_t bytes = 0;
  for (const io::TensorView& view : base.views()) {
    bytes += static_cast<std::uint64_t>(view.numel()) * at::elementSize(compute);
  }
  return bytes;
}

}  // namespace

LayerStore::LayerStore(const io::Checkpoint& base, const model::DecoderConfig& config,
                       StoreOptions options)
    : base_(base),
      config_(config),
      options_(std::move(options)),
      head_name_(model::head_weight_name(config, base)),
      layers_(static_cast<std::size_t>(config.num_layers)) {
  resident_ =
      !options_.memory_bytes || converted_bytes(base, options_.compute) <= *options_.memory_bytes;
}

const io::TensorView& LayerStore::view(const std::string& name) {
  const io::TensorView* found = base_.find(name);
  if (found == nullptr)
    throw internal_error({.message = "tensor not in the checkpoint", .where = name});
  if (seen_.insert(name).second && options_.on_first_read) options_.on_first_read(*found);
  return *found;
}

at::Tensor LayerStore::load(const std::string& name) {
  const io::TensorView& stored = view(name);
  bytes_read_ += stored.bytes.size();
  return tensor::tensor_of(stored).to(options_.device, options_.compute);
}

const model::LayerWeights& LayerStore::layer(std::int64_t index) {
  auto& slot = layers_[static_cast<std::size_t>(index)];
  if (slot) return *slot;
  if (!resident_) {
    release_layer();
    streamed_ = index;
    if (index + 1 < config_.num_layers) {
      for (const auto& next : model::layer_slots(config_, index + 1)) {
        if (const io::TensorView* ahead = base_.find(next.name)) base_.will_need(*ahead);
      }
    }
  }
  slot = model::read_layer(config_, index,
                           [this](const model::WeightSlot& weight) { return load(weight.name); });
  return *slot;
}

void LayerStore::release_layer() {
  if (!streamed_) return;
  layers_[static_cast<std::size_t>(*streamed_)].reset();
  give_back(*streamed_);
  streamed_.reset();
}

void LayerStore::give_back(std::int64_t index) {
  for (const auto& slot : model::layer_slots(config_, index)) {
    if (const io::TensorView* stored = base_.find(slot.name)) base_.done_with(*stored);
  }
}

at::Tensor LayerStore::embedding_table() {
  return tensor::tensor_of(view(std::string(model::kEmbedding) + ".weight"));
}

at::Tensor LayerStore::final_norm() {
  if (!final_norm_.defined()) final_norm_ = load(std::string(model::kFinalNorm) + ".weight");
  return final_norm_;
}

at::Tensor LayerStore::head_rows(std::int64_t begin, std::int64_t count) {
  if (resident_) {
    if (!head_.defined()) head_ = load(head_name_);
    return head_.narrow(0, begin, count);
  }
  const io::TensorView& stored = view(head_name_);
  const at::Tensor rows = tensor::tensor_of(stored).narrow(0, begin, count);
  // A view that needs no conversion is read in place, however often it is asked for.
  const bool in_place = rows.scalar_type() == options_.compute && options_.device.is_cpu();
  if (!in_place || head_reads_.insert(begin).second) {
    bytes_read_ += static_cast<std::uint64_t>(rows.nbytes());
  }
  return rows.to(options_.device, options_.compute);
}

}  // namespace loraproof::engine
