// SPDX-License-Identifier: Apache-2.0
// What the subcommands of `drift` share: from the options of a log to a run, and what is said of
// it.
#pragma once

#include <string>
#include <vector>

#include "loraproof/commands/drift_profile.h"
#include "loraproof/core/json_fwd.h"
#include "loraproof/drift/hash.h"
#include "loraproof/drift/run.h"
#include "loraproof/report/measure.h"
#include "loraproof/report/report.h"

namespace loraproof::commands {

/// "": the published key.
[[nodiscard]] drift::Key key_of(const std::string& file);

/// Usage Error for options that contradict each other.
[[nodiscard]] drift::RunOptions run_of(const DriftLogOptions& log);

/// A reference without a map is read twice: usage Error when a log is a pipe.
void expect_readable_twice(const DriftLogOptions& log);

/// Input Error when there were many lines and none could be used.
void expect_usable(const drift::Profile& profile, const drift::RunNotes& notes);

[[nodiscard]] report::Report report_of(std::string command);
void add_inputs(report::Report& report, const DriftLogOptions& log, const drift::Encoder& encoder);

[[nodiscard]] report::Measure malformed_measure(const drift::RunNotes& notes,
                                                const std::vector<std::string>& inputs);

/// "183 prompts, 2400 tokens, 140 distinct; 57 held out; 1 part"
[[nodiscard]] std::string summary(const drift::Profile& profile);
[[nodiscard]] Json metrics_of(const drift::Profile& profile);

}  // namespace loraproof::commands
