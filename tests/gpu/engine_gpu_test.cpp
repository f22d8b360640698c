// SPDX-License-Identifier: Apache-2.0
// The engine on CUDA against what transformers and PEFT computed on the CPU. Exit 77 (skipped)
// where there is no CUDA device; tests/unit/device runs the same on a device of its own.
#include <ATen/ATen.h>
#include <cstdio>
#include <fmt/format.h>

#include "support/engine_oracle.h"

using namespace loraproof;

int main() {
  if (!at::hasCUDA()) {
    std::puts("skipped: this libtorch sees no CUDA device");
    return 77;
  }
  int failed = 0, passed = 0;
  for (const test::OracleCase& one : test::oracle_cases()) {
    const test::OracleResult result = test::run_oracle(one, {at::kCUDA, 0});
    // TF32 is off by default for matmul in libtorch, so f32 on CUDA is f32.
    const bool ok = result.worst < 1e-4 && result.same_text;
    fmt::print("{} {}: {:.2e} of the range, greedy text {}\n", ok ? "ok  " : "FAIL",
               test::name_of(one), result.worst, result.same_text ? "equal" : "differs");
    ++(ok ? passed : failed);
  }
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
