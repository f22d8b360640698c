// SPDX-License-Identifier: Apache-2.0
// The part of `inspect` that looks at the adapter alone. Needs no libtorch, so that it answers at
// once.
#pragma once

#include "loraproof/adapter/base_modules.h"
#include "loraproof/adapter/digest.h"
#include "loraproof/commands/adapter_input.h"
#include "loraproof/commands/inspect.h"
#include "loraproof/commands/measures_base.h"
#include "loraproof/report/report.h"

namespace loraproof::commands {

struct AdapterInspection {
  adapter::Placement placement;
  adapter::AdapterIdentity identity;
  Measures measures;      ///< landing.* and effect.zero_*
  report::Report report;  ///< without its checks
};

/// `base`: the modules of the base, or nullptr: then those that the adapter's own tensors imply.
[[nodiscard]] AdapterInspection begin_inspection(const AdapterInput& input,
                                                 const adapter::BaseModules* base);

/// inspect() without a base. A suite without a base is a usage Error.
[[nodiscard]] report::Report inspect_adapter(const InspectOptions& options);

}  // namespace loraproof::commands
