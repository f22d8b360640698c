// SPDX-License-Identifier: Apache-2.0
// The report as workflow commands of GitHub Actions, which show as annotations of the run and of
// the changed files.
#pragma once

#include <string>

#include "loraproof/report/writers/table.h"

namespace loraproof::report {

/// One annotation for each failed (error), warned or inconclusive (warning) check id, errors first,
/// and the verdict as a notice. GitHub shows ten errors and ten warnings of a step; what is more is
/// named in the tenth. Nothing in a string of the report can begin a command of its own.
[[nodiscard]] std::string write_github(const Report& report, const WriterOptions& options);

}  // namespace loraproof::report
