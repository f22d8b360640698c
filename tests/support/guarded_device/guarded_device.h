// SPDX-License-Identifier: Apache-2.0
// A device for tests that is as strict as a GPU and needs none: libtorch's PrivateUse1, named
// "guarded". Operators run on the CPU, on memory that only they can reach: the address that a
// tensor shows (data_ptr) is always PROT_NONE, so that a raw read or write ends the process with
// SIGSEGV. Refused as CUDA refuses them: operators of the device with CPU tensors among their
// arguments. CUDA's exceptions are allowed: one 0-dim CPU tensor where libtorch's TensorIterator
// takes it, CPU tensors as indices of index and index_put_, and copies. Refused beyond CUDA, where
// it would be a race: memory used on a stream that neither waited for its last writer nor is the
// one that it was allocated for (record_stream). docs/gpu.md says what this proves and what not.
#pragma once

#include <c10/core/Device.h>
#include <cstdint>

namespace loraproof::test {

inline constexpr const char* kGuardedName = "guarded";

/// Registers the device with libtorch, once per process; it then has this name, and one index. From
/// then on libtorch computes on one thread.
at::Device guarded_device();

/// What happened on the device so far. Thread-safe.
struct GuardedCounts {
  std::uint64_t operators = 0;  ///< without views and copies
  std::uint64_t copies = 0;     ///< between host and device
};
[[nodiscard]] GuardedCounts guarded_counts();

}  // namespace loraproof::test
