// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/layer_loader.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cstring>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::engine {
namespace {

// Below at::internal::GRAIN_SIZE (32768 elements) libtorch copies on the calling thread alone.
constexpr std::int64_t kPieceElements = 32000;

const io::TensorView& stored(const io::Checkpoint& base, const std::string& name) {
  const io::TensorView* view = base.find(name);
  if (view == nullptr) {
    throw internal_error({.message = "tensor not in the checkpoint", .where = name});
  }
  return *view;
}

// Fills `to` (contiguous, any floating type) with the view's elements, rounded as at::Tensor::to
// rounds.
void convert_into(const at::Tensor& to, const io::TensorView& view) {
  const at::Tensor from = tensor::tensor_of(view).view(-1);
  const at::Tensor flat = to.view(-1);
  for (std::int64_t begin = 0; begin < flat.numel(); begin += kPieceElements) {
    const std::int64_t count = std::min(kPieceElements, flat.numel() - begin);
    flat.narrow(0, begin, count).copy_(from.narrow(0, begin, count));
  }
}

}  // namespace

LayerLoader::LayerLoader(const io::Checkpoint& base, const model::DecoderConfig& config,
                         at::ScalarType compute, at::Device device)
    : base_(base),
      config_(config),
      compute_(compute),
      device_(device),
      copy_(DeviceCopy::to(device)) {}

bool LayerLoader::in_place(const io::TensorView& view) const {
  const auto address = reinterpret_cast<std::uintptr_t>(view.bytes.data());
  return device_.is_cpu() && tensor::scalar_type_of(view.dtype, view.name) == compute_ &&
         address % io::size_of(view.dtype) == 0;
}

at::Tensor LayerLoader::begin_tensor(const io::TensorView& view) const {
  base_.read_in(view);
  if (in_place(view)) return tensor::tensor_of(view);
  const at::Tensor host = copy_ ? DeviceCopy::host_buffer(view.shape, compute_)
                                : at::empty(view.shape, at::TensorOptions(compute_));
  convert_into(host, view);
  base_.done_with(view);
  return copy_ ? copy_->send(host) : host;
}

at::Tensor LayerLoader::tensor(const io::TensorView& view) const {
  const at::Tensor result = begin_tensor(view);
  if (copy_) DeviceCopy::wait(copy_->sent(), {&result, 1});
  return result;
}

void LayerLoader::announce(std::int64_t index) const {
  for (const auto& slot : model::layer_slots(config_, index)) {
    base_.will_need(stored(base_, slot.name));
  }
}

LoadedLayer LayerLoader::load(std::int64_t index, bool lend) const {
  const c10::InferenceMode no_autograd;
  announce(index);
  LoadedLayer loaded;
  std::vector<io::TensorView> lent;
  loaded.weights = model::read_layer(config_, index, [&](const model::WeightSlot& slot) {
    const io::TensorView& view = stored(base_, slot.name);
    loaded.bytes_read += view.bytes.size();
    const bool is_view = in_place(view);
    loaded.in_place = loaded.in_place || is_view;
    if (lend || !is_view) lent.push_back(view);
    return begin_tensor(view);
  });
  if (!lent.empty()) loaded.loan = base_.lend(lent);
  if (copy_) loaded.sent = copy_->sent();
  return loaded;
}

}  // namespace loraproof::engine
