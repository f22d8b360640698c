// SPDX-License-Identifier: Apache-2.0
// Bounds the recursion of the evaluator, whatever mix of macros, filters and expressions makes it.
#pragma once

#include "loraproof/text/jinja/evaluator.h"

namespace loraproof::text::jinja {

struct DepthGuard {
  explicit DepthGuard(Evaluator& e) : evaluator(e) {
    if (e.depth_ >= Limits::kEvalDepth) fail_limit("the template recurses too deep");
    ++e.depth_;
  }
  ~DepthGuard() { --evaluator.depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

  Evaluator& evaluator;
};

}  // namespace loraproof::text::jinja
