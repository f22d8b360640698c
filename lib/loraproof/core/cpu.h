// SPDX-License-Identifier: Apache-2.0
// One text, compiled for each instruction set, chosen at run time: mark a function with
// LORAPROOF_FOR_AVX2 or LORAPROOF_FOR_AVX512 (x86-64 only) and let it call an always_inline one.
#pragma once

#if defined(__x86_64__)
#define LORAPROOF_FOR_AVX512 [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,fma")]]
#define LORAPROOF_FOR_AVX2 [[gnu::target("avx2,fma")]]
#endif

namespace loraproof {

enum class InstructionSet { Any, Avx2, Avx512 };

/// The best of these that this processor has.
[[nodiscard]] inline InstructionSet instruction_set() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    return InstructionSet::Avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return InstructionSet::Avx2;
#endif
  return InstructionSet::Any;
}

}  // namespace loraproof
