// SPDX-License-Identifier: Apache-2.0
// The report as JSON for programs: docs/schema/report-1.json.
#pragma once

#include <string>

#include "loraproof/core/json_fwd.h"
#include "loraproof/report/writers/table.h"

namespace loraproof::report {

/// The report as a document in the schema's key order. An absent or non-finite number is null.
[[nodiscard]] Json to_json(const Report& report);

/// to_json as text, indented by two spaces. Doubles are written so that they read back the same;
/// bytes that aren't UTF-8 become U+FFFD.
[[nodiscard]] std::string write_json(const Report& report, const WriterOptions& options);

}  // namespace loraproof::report
