// SPDX-License-Identifier: Apache-2.0
// Any operator on the guarded device: the CPU's kernel, over the memory of the device's tensors.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace loraproof::test {

/// Boxed kernel. Results that are views of an argument are views on the device; others get memory
/// of their own. Throws c10::Error where CUDA would refuse the devices of the arguments.
void run_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack);

/// How many operators run_on_host() has run.
[[nodiscard]] std::uint64_t operators_run();

}  // namespace loraproof::test
