// SPDX-License-Identifier: Apache-2.0
// What a merge did, as measures, as metrics, and as the files that describe its output.
#pragma once

#include <string>
#include <vector>

#include "loraproof/commands/adapter_input.h"
#include "loraproof/commands/measures_base.h"
#include "loraproof/core/json_fwd.h"
#include "loraproof/merge/output_folder.h"
#include "loraproof/merge/plan.h"
#include "loraproof/merge/read_back.h"
#include "loraproof/merge/write.h"

namespace loraproof::commands {

/// merge.survival, merge.finite, merge.rounding.
[[nodiscard]] Measures merge_measures(const std::vector<merge::FileResult>& files);
/// merge.base_scheme: how far the scheme moves the weights that get a change.
[[nodiscard]] report::Measure base_scheme_measure(const std::vector<merge::FileResult>& files,
                                                  const std::string& scheme);
/// merge.plan, for --dry-run: what would be written, and how long that takes.
[[nodiscard]] report::Measure plan_measure(const merge::MergePlan& plan, double seconds,
                                           int threads);
/// merge.read_back: what --prove found.
[[nodiscard]] report::Measure read_back_measure(const merge::ReadBack& proof);
[[nodiscard]] Json read_back_metrics(const merge::ReadBack& proof);
/// merge.wrong_base; merge.untied_head, where the plan has one.
[[nodiscard]] Measures plan_measures(const merge::MergePlan& plan);
/// merge.left_out, where weight files are.
[[nodiscard]] Measures side_file_measures(const merge::SideFiles& files);

/// Per module: survival, noise, sizes.
[[nodiscard]] Json module_metrics(const std::vector<merge::FileResult>& files);
[[nodiscard]] Json plan_metrics(const merge::MergePlan& plan);

/// README.md of the merged model, with its lineage in the front matter.
[[nodiscard]] std::string merged_model_card(const std::string& base,
                                            const std::vector<AdapterInput>& adapters);

}  // namespace loraproof::commands
