// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/source_digests.h"

namespace loraproof::merge {

void SourceDigests::add(const io::TensorView& tensor, std::span<const std::byte> piece,
                        const std::shared_ptr<const void>& owner) {
  thread_.push([this, &tensor, piece, owner] {
    if (tensor_ != &tensor) {
      end_tensor();
      tensor_ = &tensor;
      hash_.emplace(tensor);
    }
    hash_->update(piece);
  });
}

void SourceDigests::end_tensor() {
  if (hash_) digests_[tensor_->name] = hash_->finish();
  hash_.reset();
}

io::DigestByName SourceDigests::finish() {
  thread_.finish();
  end_tensor();
  for (const io::TensorView& view : file_.tensors()) {
    if (digests_.contains(view.name)) continue;
    digests_[view.name] = io::tensor_digest(
        view, [&](std::span<const std::byte> passed) { file_.file().done_with(passed); });
  }
  return std::move(digests_);
}

}  // namespace loraproof::merge
