// SPDX-License-Identifier: Apache-2.0
// The engine on some device against what transformers and PEFT computed on the CPU
// (golden/values/engine_tiny.safetensors): the whole path of a sweep and greedy decoding.
#pragma once

#include <c10/core/Device.h>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace loraproof::test {

struct OracleCase {
  std::string adapter;
  std::optional<std::uint64_t> memory;  ///< nothing: resident
};

/// Six kinds of adapters, each resident, one layer at a time, and with two layers in flight: the
/// next one is copied from pinned memory on a stream of its own while one computes.
[[nodiscard]] std::vector<OracleCase> oracle_cases();
[[nodiscard]] std::string name_of(const OracleCase& one);

struct OracleResult {
  double worst = 0;       ///< largest difference of a hidden state as a share of their range
  bool same_text = true;  ///< the greedy answers, token for token
};

/// In FP32.
[[nodiscard]] OracleResult run_oracle(const OracleCase& one, at::Device device);

}  // namespace loraproof::test
