// SPDX-License-Identifier: Apache-2.0
// Blocks made by several threads, taken in their order by one. A few are held, so that memory is
// bounded. For this module only.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace loraproof::merge {

/// Calls make(i) for i = 0 ... count - 1 on `threads` threads and take(i, result) in order on the
/// caller's. An exception of either ends all threads and comes out of run().
template <typename Block>
class BlockPipe {
 public:
  BlockPipe(std::size_t count, int threads) : count_(count), threads_(threads) {}

  void run(const std::function<Block(std::size_t)>& make,
           const std::function<void(std::size_t, Block)>& take) {
    std::vector<std::thread> workers;
    for (int i = 0; i < threads_; ++i) workers.emplace_back([&] { work(make); });
    try {
      for (std::size_t i = 0; i < count_; ++i) take(i, wait_for(i));
    } catch (...) {
      stop(std::current_exception());
    }
    for (std::thread& worker : workers) worker.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void work(const std::function<Block(std::size_t)>& make) {
    try {
      for (std::size_t i = 0; claim(i);) {
        Block block = make(i);
        const std::lock_guard lock(mutex_);
        ready_.emplace(i, std::move(block));
        changed_.notify_all();
      }
    } catch (...) {
      stop(std::current_exception());
    }
  }

  // The next block, once it is not too far ahead of what has been taken.
  bool claim(std::size_t& index) {
    std::unique_lock lock(mutex_);
    index = next_++;
    const std::size_t ahead = 2 * static_cast<std::size_t>(threads_) + 1;
    changed_.wait(lock, [&] { return stopped_ || index < taken_ + ahead; });
    return index < count_ && !stopped_;
  }

  Block wait_for(std::size_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopped_ || ready_.contains(index); });
    if (stopped_) std::rethrow_exception(error_);
    Block block = std::move(ready_.extract(index).mapped());
    taken_ = index + 1;
    changed_.notify_all();
    return block;
  }

  void stop(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    stopped_ = true;
    changed_.notify_all();
  }

  std::size_t count_;
  int threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::size_t, Block> ready_;
  std::size_t next_ = 0;
  std::size_t taken_ = 0;
  bool stopped_ = false;
  std::exception_ptr error_;
};

}  // namespace loraproof::merge
