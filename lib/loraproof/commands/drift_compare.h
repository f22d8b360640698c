// SPDX-License-Identifier: Apache-2.0
// `loraproof drift compare REF CUR`, and its short form `loraproof drift REF CUR`: has the traffic
// moved? Either side is a profile or a log that is profiled on the way. No libtorch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/commands/drift_profile.h"
#include "loraproof/drift/compare.h"
#include "loraproof/report/measure.h"
#include "loraproof/text/tokenizer.h"

namespace loraproof::commands {

struct DriftCompareOptions {
  std::string reference;
  std::string window;
  DriftLogOptions log;  ///< how logs are read; `inputs` is not used
  /// The flags of `log` that were given: a usage Error where neither side is a log.
  std::vector<std::string> log_flags;
  /// Of this window among all that are compared with one reference; nullopt: it is the only one.
  std::optional<std::int64_t> number;
  PolicyOptions policy;
};
[[nodiscard]] report::Report drift_compare(const DriftCompareOptions& options, Context& context);

/// The checks of a comparison, before the gate: `level` is what p is held against, `min_units` the
/// fewest prompts on a side.
[[nodiscard]] std::vector<report::Measure> drift_measures(const drift::Comparison& comparison,
                                                          const drift::CompareOptions& options);

/// The same for programs. `tokenizer` may be null: then tokens have ids only.
[[nodiscard]] Json drift_metrics(const drift::Comparison& comparison);
[[nodiscard]] Json drift_contributions(const drift::Comparison& comparison,
                                       const text::Tokenizer* tokenizer, std::size_t most);

}  // namespace loraproof::commands
