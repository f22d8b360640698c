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

/// Everything a reference is recorded with. `adapter` may be null; `base_tensors` as
/// BaseWatch::finish returns them.
[[nodiscard]] golden::Identity identity_of(const BaseInput& base,
                                           const adapter::AdapterIdentity* adapter,
                                           const TextInput& text,
                                           const io::DigestByName& base_tensors);
[[nodiscard]] golden::Identity identity_of(const Session& session, const TextInput& text,
                                           const io::DigestByName& base_tensors);

/// The folder of the reference called `name`; with an empty name that of the adapter, else the
/// suite's only one. Throws an input Error listing what is there.
[[nodiscard]] std::filesystem::path reference_folder(const golden::Suite& suite,
                                                     const std::string& name,
                                                     const std::string& adapter_name);

/// True when a check of these measures fails the gate: the sweep is then not worth running.
[[nodiscard]] bool gate_fails(const std::vector<report::Check>& checks);

/// True when the prompt expects an answer and this is it.
[[nodiscard]] bool is_expected(const golden::GoldenPrompt& prompt, const std::string& text);

}  // namespace loraproof::commands
