// SPDX-License-Identifier: Apache-2.0
// The bar chart of what moved, as lines of text: the same in the terminal and in Markdown.
#pragma once

#include <string>
#include <vector>

#include "loraproof/report/report.h"

namespace loraproof::report {

/// A line for each token in metrics.contributions: its text, its share of the prompts before and
/// now, and a bar to the scale of the largest change. Empty when nothing moved. Safe to print.
[[nodiscard]] std::vector<std::string> contribution_chart(const Report& report);

inline constexpr const char* kChartTitle = "tokens that moved most (share of prompts)";

}  // namespace loraproof::report
