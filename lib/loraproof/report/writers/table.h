// SPDX-License-Identifier: Apache-2.0
// The formats a report can be written in. --format and its help come from this table; a new format
// is one file and one row.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/report/report.h"

namespace loraproof::report {

struct WriterOptions {
  bool colour = false;      ///< ANSI colours; the caller knows whether it writes to a terminal.
  std::size_t width = 100;  ///< Columns that wrapped text aims at.
};

/// Renders a whole report, ending with a line end. Pure: the same report gives the same bytes.
using Writer = std::string (*)(const Report& report, const WriterOptions& options);

struct WriterRow {
  std::string_view name;     ///< What --format takes.
  std::string_view summary;  ///< For --help.
  Writer write;
};

[[nodiscard]] std::span<const WriterRow> writers();
[[nodiscard]] std::vector<std::string> writer_names();

/// The row of that name; an unknown name is a usage Error with the nearest one.
[[nodiscard]] const WriterRow& writer_named(std::string_view name);

}  // namespace loraproof::report
