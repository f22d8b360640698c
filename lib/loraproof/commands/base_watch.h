// SPDX-License-Identifier: Apache-2.0
// Looks at each stored tensor of the base when the sweep first reads it: digests for identity.base,
// norms for effect.*. So the base is read once.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "loraproof/adapter/effect.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/io/digest.h"

namespace loraproof::commands {

/// see() is called from the sweep's thread; digests are taken on a thread of their own.
class BaseWatch {
 public:
  /// One PatchSet per adapter; none where the base is judged as it is. The checkpoint and the
  /// patches must outlive the watch.
  BaseWatch(const io::Checkpoint& base, const adapter::BaseModules& modules,
            std::vector<const adapter::PatchSet*> patches);
  ~BaseWatch();
  BaseWatch(const BaseWatch&) = delete;
  BaseWatch& operator=(const BaseWatch&) = delete;

  /// Waits while too much is queued for its digest: what waits keeps its pages.
  void see(const io::TensorView& view);

  /// Looks at what was not read yet, waits for the digests and returns them by tensor name. Throws
  /// what taking them threw.
  [[nodiscard]] const io::DigestByName& finish();
  /// Of the adapter with this index; complete after finish().
  [[nodiscard]] const adapter::EffectSums& effects(std::size_t adapter) const {
    return effects_[adapter];
  }

 private:
  void work();
  void digest(const io::TensorView& view);
  void measure(const io::TensorView& view);

  const io::Checkpoint& base_;
  const adapter::BaseModules& modules_;
  std::vector<const adapter::PatchSet*> patches_;
  std::vector<adapter::EffectSums> effects_;
  io::DigestByName digests_;
  std::map<std::string, bool> seen_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable room_;
  std::deque<io::TensorView> queue_;
  std::size_t queued_bytes_ = 0;
  std::exception_ptr failure_;
  bool done_ = false;
  std::thread worker_;  // last: starts when everything else is there
};

}  // namespace loraproof::commands
