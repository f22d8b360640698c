// SPDX-License-Identifier: Apache-2.0
// The steps that validating, recording and inspecting share: open the inputs, check the adapter,
// run it on the engine, and say in the report what was run.
#pragma once

#include <ATen/core/Tensor.h>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/adapter/landing.h"
#include "loraproof/commands/base_watch.h"
#include "loraproof/commands/context.h"
#include "loraproof/commands/inputs.h"
#include "loraproof/commands/measures.h"
#include "loraproof/engine/lane.h"
#include "loraproof/engine/layer_store.h"

namespace loraproof::commands {

/// Base, adapter and what the adapter does to the base's modules.
struct Session {
  BaseInput base;
  std::optional<AdapterInput> adapter;
  adapter::Landing landing;
  Measures adapter_measures;  ///< landing.* and effect.zero_*: known before any weight is read

  [[nodiscard]] const adapter::PatchSet* patches() const {
    return adapter ? &landing.patches : nullptr;
  }
  [[nodiscard]] std::string lane_name() const { return adapter ? adapter->name : "base"; }
};
[[nodiscard]] Session open_session(const std::string& base,
                                   const std::optional<std::string>& adapter);

/// at::kCPU or a CUDA device; "auto" takes CUDA where it is there. Throws a usage Error for a
/// device that is not, or an unknown name.
[[nodiscard]] at::Device parse_device(const std::string& name);
/// at::kBFloat16 or at::kFloat; a usage Error otherwise.
[[nodiscard]] at::ScalarType parse_compute(const std::string& name);
[[nodiscard]] std::string compute_name(at::ScalarType compute);

/// Sets the thread count and returns the report's tool block.
[[nodiscard]] report::ToolInfo begin_engine(const EngineOptions& options, at::Device device);

/// Digests of everything a reference is recorded with. `base_digests` from BaseWatch::finish.
[[nodiscard]] golden::Identity identity_of(const Session& session, const TextInput& text,
                                           const io::DigestByName& base_digests);

/// True when a check of these measures fails the gate: the sweep is then not worth running.
[[nodiscard]] bool gate_fails(const std::vector<report::Check>& checks);

/// Share of prompts whose text is the expected one, per prompt of the suite that expects something.
[[nodiscard]] bool is_expected(const golden::GoldenPrompt& prompt, const std::string& text);

}  // namespace loraproof::commands
