// SPDX-License-Identifier: Apache-2.0
// Reads JSON Lines: one JSON value a line, as prompts.jsonl and traffic logs have it. Streams, so a
// file larger than memory is fine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "loraproof/core/json_fwd.h"

namespace loraproof::io {

struct JsonLinesLimits {
  std::size_t max_line_bytes = std::size_t{16} << 20;
  int max_depth = 128;
};

/// Calls `use` with each value and its line number (from 1). A byte order mark, CRLF ends, blank
/// lines and a missing last line end are accepted. A line that is not strict JSON (see parse_json)
/// or too long is an input Error with where = "line N"; so is a file that cannot be read. What
/// `use` throws passes through. Returns the number of values.
std::int64_t for_each_json_line(const std::filesystem::path& path,
                                const std::function<void(const Json&, std::int64_t)>& use,
                                JsonLinesLimits limits = {});

}  // namespace loraproof::io
