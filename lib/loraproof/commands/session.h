// SPDX-License-Identifier: Apache-2.0
// The steps that validating, recording and inspecting share: open the inputs, check the adapter,
// run it on the engine, and say in the report what was run.
#pragma once

#include <ATen/core/Tensor.h>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/adapter/digest.h"
#include "loraproof/adapter/landing.h"
#include "loraproof/commands/base_watch.h"
#include "loraproof/commands/context.h"
#include "loraproof/commands/inputs.h"
#include "loraproof/commands/measures.h"
#include "loraproof/engine/lane.h"
#include "loraproof/engine/layer_store.h"

namespace loraproof::commands {

/// One adapter and what it does to the base's modules.
struct AdapterSession {
  AdapterInput input;
  adapter::Landing landing;
  Measures measures;  ///< landing.* and effect.zero_*: known before any weight is read
};
[[nodiscard]] AdapterSession open_adapter_session(const std::string& adapter,
                                                  const BaseInput& base);

/// The base and the adapters that share its sweep; none: the base is judged as it is.
struct Session {
  BaseInput base;
  std::vector<AdapterSession> adapters;
};
/// Throws a usage Error when two adapters have the same name.
[[nodiscard]] Session open_session(const std::string& base,
                                   const std::vector<std::string>& adapters);

/// at::kCPU or a CUDA device; "auto" takes CUDA where it is there. Whoever links the library can
/// register a device of their own with libtorch (PrivateUse1): then its name there is taken, too.
/// Throws a usage Error for a device that is not, or an unknown name.
[[nodiscard]] at::Device parse_device(const std::string& name);
/// at::kBFloat16 or at::kFloat.
[[nodiscard]] at::ScalarType scalar_type_of(Compute compute);

/// Sets the thread count and returns the report's tool block.
[[nodiscard]] report::ToolInfo begin_engine(const EngineOptions& options, at::Device device);

/// Everything a reference is recorded with. `adapter` may be null; `base_tensors` as
/// BaseWatch::finish returns them.
[[nodiscard]] golden::Identity identity_of(const BaseInput& base,
                                           const adapter::AdapterIdentity* adapter,
                                           const TextInput& text,
                                           const io::DigestByName& base_tensors);

/// The folder of the reference called `name`; with an empty name that of the adapter, else the
/// suite's only one. Throws an input Error listing what is there.
[[nodiscard]] std::filesystem::path reference_folder(const golden::Suite& suite,
                                                     const std::string& name,
                                                     const std::string& adapter_name);

/// True when a check of these measures fails the gate: the sweep is then not worth running.
[[nodiscard]] bool gate_fails(const std::vector<report::Check>& checks);

}  // namespace loraproof::commands
