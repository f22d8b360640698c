// SPDX-License-Identifier: Apache-2.0
// One step after another on a thread of its own: digests, beside what computes and writes. For this
// module only.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <thread>
#include <utility>

#include "loraproof/core/work_queue.h"

namespace loraproof::merge {

class Background {
 public:
  using Step = std::function<void()>;

  /// `most_waiting`: steps that push() accepts ahead of the one that runs.
  explicit Background(std::size_t most_waiting)
      : steps_(most_waiting), thread_([this] { run(); }) {}
  ~Background() {
    steps_.stop();
    if (thread_.joinable()) thread_.join();
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Waits while too many wait. What a step threw comes out of finish().
  void push(Step step) { steps_.push(std::move(step)); }
  /// Waits for all steps.
  void finish() {
    steps_.end();
    if (thread_.joinable()) thread_.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void run() {
    try {
      for (Step step; steps_.pop(step); step = nullptr) step();
    } catch (...) {
      error_ = std::current_exception();
      steps_.stop();
    }
  }

  WorkQueue<Step> steps_;
  std::exception_ptr error_;
  std::thread thread_;  // last: starts when everything else is there
};

}  // namespace loraproof::merge
