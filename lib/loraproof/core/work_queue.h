// SPDX-License-Identifier: Apache-2.0
// Hands items from one thread to others. Holds a few, so that memory stays bounded.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>

namespace loraproof {

template <typename Item>
class WorkQueue {
 public:
  explicit WorkQueue(std::size_t capacity) : capacity_(capacity) {}

  /// Waits for room. False when nobody takes any more.
  bool push(Item item) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return items_.size() < capacity_ || stopped_; });
    if (stopped_) return false;
    items_.push_back(std::move(item));
    filled_.notify_one();
    return true;
  }
  /// Waits for an item. False when there are no more.
  bool pop(Item& out) {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [this] { return !items_.empty() || ended_ || stopped_; });
    if (items_.empty() || stopped_) return false;
    out = std::move(items_.front());
    items_.pop_front();
    room_.notify_one();
    return true;
  }
  /// Nothing more will be pushed; what is held is still taken.
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    filled_.notify_all();
  }
  /// Nothing more is taken.
  void stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    filled_.notify_all();
    room_.notify_all();
  }

 private:
  std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable room_, filled_;
  std::deque<Item> items_;
  bool ended_ = false;
  bool stopped_ = false;
};

}  // namespace loraproof
