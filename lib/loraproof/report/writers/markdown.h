// SPDX-License-Identifier: Apache-2.0
// The report as GitHub-flavoured Markdown, for a comment on a pull request or a step summary: the
// verdict, a table of what did not pass, the prompts that differ, and the rest folded away.
// A comment holds 65,536 characters, so this format leaves out what is too much and says how much
// that was; the JSON report has everything.
#pragma once

#include <string>

#include "loraproof/report/writers/table.h"

namespace loraproof::report {

/// Strings of the report can neither format, link, mention anybody nor leave their table cell.
[[nodiscard]] std::string write_markdown(const Report& report, const WriterOptions& options);

}  // namespace loraproof::report
