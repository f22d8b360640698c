// SPDX-License-Identifier: Apache-2.0
// `loraproof merge --golden`: does the merged model answer as base and adapters do unmerged? Linked
// into the engine's program only.
#pragma once

#include "loraproof/commands/merge.h"

namespace loraproof::commands {

/// merge(), with the suite's prompts run on the base with its adapters and then on the merged
/// weights before they come into their place. Further input Errors: for a suite that can't be read,
/// and for a model or adapter that the engine has no forward for.
[[nodiscard]] report::Report merge_golden(const MergeOptions& options, Context& context);

/// The comparison alone: of `staged` with the base and the adapters that `options` names.
[[nodiscard]] MergeProof prove_merge(const MergeOptions& options, Context& context,
                                     const StagedMerge& staged);

}  // namespace loraproof::commands
