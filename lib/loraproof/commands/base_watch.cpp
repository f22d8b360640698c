// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/base_watch.h"

#include <ATen/ATen.h>

#include "loraproof/tensor/from_view.h"

namespace loraproof::commands {

BaseWatch::BaseWatch(const io::Checkpoint& base, const adapter::BaseModules& modules,
                     std::vector<const adapter::PatchSet*> patches)
    : base_(base),
      modules_(modules),
      patches_(std::move(patches)),
      effects_(patches_.size()),
      worker_([this] { work(); }) {}

BaseWatch::~BaseWatch() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_all();
  if (worker_.joinable()) worker_.join();
}

void BaseWatch::work() {
  while (true) {
    io::TensorView view;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return done_ || !queue_.empty(); });
      if (queue_.empty()) return;
      view = queue_.front();
      queue_.pop_front();
    }
    std::string digest = io::tensor_digest(view);
    const std::lock_guard lock(mutex_);
    digests_[view.name] = std::move(digest);
  }
}

void BaseWatch::see(const io::TensorView& view) {
  if (!seen_.emplace(view.name, true).second) return;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(view);
  }
  wake_.notify_one();
  if (!view.name.ends_with(".weight")) return;
  // A tied head has no weight of its own: the embedding's tensor stands for both modules.
  const std::string stored = view.name.substr(0, view.name.size() - std::string(".weight").size());
  for (std::size_t i = 0; i < patches_.size(); ++i) {
    for (const auto& [module, patch] : *patches_[i]) {
      const auto found = modules_.find(module);
      if (found == modules_.end() || !patch.has_lora() || patch.weight.defined()) continue;
      if (module != stored && found->second.tied_to != stored) continue;
      effects_[i].add(module, patch, tensor::tensor_of(view), found->second.kind);
    }
  }
}

const io::DigestByName& BaseWatch::finish() {
  for (const io::TensorView& view : base_.views()) see(view);
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_all();
  if (worker_.joinable()) worker_.join();
  return digests_;
}

}  // namespace loraproof::commands
