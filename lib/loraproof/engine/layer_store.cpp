// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/layer_store.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/log.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::engine {
namespace {

std::vector<at::Tensor> tensors_of(const model::LayerWeights& weights) {
  std::vector<at::Tensor> tensors = {weights.input_norm, weights.post_attn_norm};
  for (const nn::LinearWeights* linear : {&weights.q, &weights.k, &weights.v, &weights.o,
                                          &weights.gate, &weights.up, &weights.down}) {
    tensors.push_back(linear->weight);
    if (linear->bias.defined()) tensors.push_back(linear->bias);
  }
  return tensors;
}

// Rows [begin, begin + count) of a stored matrix, as a view of their own.
io::TensorView rows_of(const io::TensorView& matrix, std::int64_t begin, std::int64_t count) {
  io::TensorView rows = matrix;
  const std::size_t row_bytes = matrix.bytes.size() / static_cast<std::size_t>(matrix.shape[0]);
  rows.shape[0] = count;
  rows.bytes = matrix.bytes.subspan(static_cast<std::size_t>(begin) * row_bytes,
                                    static_cast<std::size_t>(count) * row_bytes);
  return rows;
}

}  // namespace

LayerStore::LayerStore(const io::Checkpoint& base, const model::DecoderConfig& config,
                       StoreOptions options)
    : base_(base),
      config_(config),
      options_(std::move(options)),
      plan_(plan_memory(base, config, options_.compute, options_.memory_bytes)),
      loader_(base, config, options_.compute, options_.device),
      head_name_(model::head_weight_name(config, base)),
      layers_(static_cast<std::size_t>(config.num_layers)) {
  if (!plan_.within_budget) {
    log::warn(fmt::format(
        "--memory allows {} bytes, but one layer or part of the head needs {}: going on, one layer "
        "at a time",
        options_.memory_bytes.value_or(0), plan_.held_bytes));
  }
}

const io::TensorView& LayerStore::stored(const std::string& name) const {
  const io::TensorView* found = base_.find(name);
  if (found == nullptr)
    throw internal_error({.message = "tensor not in the checkpoint", .where = name});
  return *found;
}

void LayerStore::see(const io::TensorView& view, const std::shared_ptr<const void>& loan) {
  if (!options_.on_first_read || !seen_.insert(view.name).second) return;
  io::TensorView shown = view;
  shown.loan = loan;
  options_.on_first_read(shown);
}

const model::LayerWeights& LayerStore::layer(std::int64_t index) {
  embedding_loan_.reset();
  if (!plan_.keep_head) head_loan_.reset();
  auto& slot = layers_[static_cast<std::size_t>(index)];
  if (streamed_ != index) release_layer();
  if (!slot) {
    slot = take(index);
    if (!stays(index)) streamed_ = index;
    // The next layer is on its way before anybody looks at this one.
    read_ahead(index);
    for (const auto& weight : model::layer_slots(config_, index)) {
      see(stored(weight.name), slot->loan);
    }
    if (!slot->in_place) slot->loan.reset();  // only the digests still read those pages
  } else {
    read_ahead(index);
  }
  return slot->weights;
}

LoadedLayer LayerStore::take(std::int64_t index) {
  const bool expected = ahead_index_ == index;
  std::future<LoadedLayer> ahead = std::move(ahead_);
  ahead_index_.reset();
  if (!expected && ahead.valid()) ahead.wait();  // one layer is loaded at a time
  LoadedLayer loaded = expected ? ahead.get() : loader_.load(index, lends());
  bytes_read_ += loaded.bytes_read;
  if (loaded.sent) DeviceCopy::wait(*loaded.sent, tensors_of(loaded.weights));
  return loaded;
}

void LayerStore::read_ahead(std::int64_t after) {
  if (!plan_.prefetch || ahead_index_) return;
  const auto next = std::find_if(layers_.begin() + after + 1, layers_.end(),
                                 [](const auto& slot) { return !slot; });
  if (next == layers_.end()) return;
  const std::int64_t index = next - layers_.begin();
  ahead_index_ = index;
  ahead_ = std::async(std::launch::async, [this, index] { return loader_.load(index, lends()); });
}

void LayerStore::release_layer() {
  if (!streamed_) return;
  layers_[static_cast<std::size_t>(*streamed_)].reset();
  streamed_.reset();
}

void LayerStore::release_all() {
  if (ahead_.valid()) ahead_.wait();
  ahead_ = {};
  ahead_index_.reset();
  streamed_.reset();
  for (auto& slot : layers_) slot.reset();
  head_.reset();
  head_loan_.reset();
  embedding_loan_.reset();
}

at::Tensor LayerStore::embedding_table() {
  const io::TensorView& view = stored(fmt::format("{}.weight", model::kEmbedding));
  base_.read_in(rows_of(view, view.shape[0] - 1, 1));  // the file still reaches to its end
  const bool shared_with_head = plan_.keep_head && head_name_ == view.name;
  if (lends() && !shared_with_head) embedding_loan_ = base_.lend({&view, 1});
  see(view, embedding_loan_);
  return tensor::tensor_of(view);
}

at::Tensor LayerStore::final_norm() {
  if (!final_norm_.defined()) {
    const io::TensorView& view = stored(fmt::format("{}.weight", model::kFinalNorm));
    bytes_read_ += view.bytes.size();
    final_norm_ = loader_.tensor(view);
    see(view, nullptr);
  }
  return final_norm_;
}

at::Tensor LayerStore::head_rows(std::int64_t begin, std::int64_t count) {
  const io::TensorView& whole = stored(head_name_);
  if (plan_.keep_head) {
    if (!head_.defined()) {
      bytes_read_ += whole.bytes.size();
      if (lends()) head_loan_ = base_.lend({&whole, 1});
      head_ = loader_.tensor(whole);
      see(whole, head_loan_);
    }
    return head_.narrow(0, begin, count);
  }
  const io::TensorView part = rows_of(whole, begin, count);
  const std::int64_t ahead = std::min(count, whole.shape[0] - begin - count);
  if (ahead > 0) base_.will_need(rows_of(whole, begin + count, ahead));
  head_loan_.reset();  // the part before
  head_loan_ = base_.lend({&part, 1});
  bytes_read_ += part.bytes.size();
  const at::Tensor rows = loader_.tensor(part);
  if (!seen_.contains(whole.name)) see(whole, base_.lend({&whole, 1}));
  return rows;
}

}  // namespace loraproof::engine
