// SPDX-License-Identifier: Apache-2.0
// The report for people at a terminal or reading a CI log. What needs action comes first and in
// full; what passed takes a line each. The last line is always "verdict:
// pass|fail|inconclusive|error".
#pragma once

#include <string>

#include "loraproof/report/writers/table.h"

namespace loraproof::report {

[[nodiscard]] std::string write_text(const Report& report, const WriterOptions& options);

}  // namespace loraproof::report
