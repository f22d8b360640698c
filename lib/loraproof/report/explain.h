// SPDX-License-Identifier: Apache-2.0
// Texts about the rule table itself: what a check means, where its default limit comes from and how
// to change it. Made from the table alone, so they can't fall behind it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loraproof/report/rules.h"

namespace loraproof::report {

enum class ExplainFormat { Text, Json, Markdown };

/// What is explained: rules and settings in the table's order.
struct Topic {
  std::vector<const Rule*> rules;
  std::vector<const Setting*> settings;
  bool in_full = false;  ///< Everything about each; otherwise a line each.
};

/// "golden.text" or "golden.min_prompts": that one in full. "golden." or "golden": a line for each
/// of the family. "": a line for each of all. Anything else is a usage Error with the nearest name.
/// The pointers are into `table`.
[[nodiscard]] Topic find_topic(const RuleTable& table, std::string_view name);

/// Everything in full.
[[nodiscard]] Topic whole_table(const RuleTable& table);

[[nodiscard]] std::string explain(const Topic& topic, ExplainFormat format);

}  // namespace loraproof::report
