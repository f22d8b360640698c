// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/base_watch.h"

#include <ATen/ATen.h>
#include <string_view>

#include "loraproof/tensor/from_view.h"

namespace loraproof::commands {
namespace {

// Tensors that wait for their digest keep their pages: bounded, so that a slow hash slows the sweep
// down instead of filling the memory or reading from the disk twice.
constexpr std::size_t kQueueBytes = std::size_t{64} << 20;
// A lent tensor above this (embedding, head) is digested and given back piece by piece.
constexpr std::size_t kPieceBytes = std::size_t{64} << 20;

io::TensorView last_byte(const io::TensorView& view) {
  io::TensorView end = view;
  end.bytes = view.bytes.last(1);
  return end;
}

}  // namespace

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

void BaseWatch::digest(const io::TensorView& view) {
  base_.read_in(view.bytes.size() > kPieceBytes ? last_byte(view) : view);
  std::string digest;
  if (view.loan && view.bytes.size() > kPieceBytes) {
    // Too large to stay mapped in as a whole; whoever still needs a page gets it from the cache.
    io::TensorView piece = view;
    digest = io::tensor_digest(view, [&](std::span<const std::byte> passed) {
      piece.bytes = passed;
      base_.done_with(piece);
    });
  } else {
    digest = io::tensor_digest(view);
  }
  const std::lock_guard lock(mutex_);
  digests_[view.name] = std::move(digest);
}

void BaseWatch::work() {
  while (true) {
    io::TensorView view;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return done_ || !queue_.empty(); });
      if (queue_.empty()) return;
      view = queue_.front();
    }
    try {
      digest(view);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      queued_bytes_ -= view.bytes.size();
      queue_.pop_front();
    }
    room_.notify_one();
  }
}

void BaseWatch::see(const io::TensorView& view) {
  if (!seen_.emplace(view.name, true).second) return;
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return queued_bytes_ <= kQueueBytes; });
    queued_bytes_ += view.bytes.size();
    queue_.push_back(view);
  }
  wake_.notify_one();
  measure(view);
}

void BaseWatch::measure(const io::TensorView& view) {
  constexpr std::string_view kSuffix = ".weight";
  if (!view.name.ends_with(kSuffix)) return;
  // A tied head has no weight of its own: the embedding's tensor stands for both modules.
  const std::string stored = view.name.substr(0, view.name.size() - kSuffix.size());
  for (const auto& [module, base] : modules_) {
    if (module != stored && base.tied_to != stored) continue;
    std::vector<std::size_t> owners;
    std::vector<const adapter::ModulePatch*> patches;
    for (std::size_t i = 0; i < patches_.size(); ++i) {
      const auto patch = patches_[i]->find(module);
      if (patch == patches_[i]->end() || !adapter::EffectSums::counts(patch->second)) continue;
      owners.push_back(i);
      patches.push_back(&patch->second);
    }
    if (patches.empty()) continue;
    const auto effects = adapter::measure_effects(patches, tensor::tensor_of(view), base.kind);
    for (std::size_t i = 0; i < owners.size(); ++i) effects_[owners[i]].add(module, effects[i]);
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
  if (failure_) std::rethrow_exception(failure_);
  return digests_;
}

}  // namespace loraproof::commands
