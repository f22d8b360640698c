// SPDX-License-Identifier: Apache-2.0
// The report as JUnit XML, for Jenkins, GitLab and the reporters of GitHub: one test case a check.
// Deterministic: no time stamps, every time is 0.
#pragma once

#include <string>

#include "loraproof/report/writers/table.h"

namespace loraproof::report {

/// A failed check is a failure; a skipped or inconclusive one is skipped, and its message says
/// which; a warning passes, with its text in system-out; an error report is one case with an error.
/// What --fail-on warn or --inconclusive fail makes the gate fail on is a failure here as well.
/// Case names are unique. Strings are made printable, so no character is there that XML 1.0
/// forbids.
[[nodiscard]] std::string write_junit(const Report& report, const WriterOptions& options);

}  // namespace loraproof::report
