// SPDX-License-Identifier: Apache-2.0
// The table of checks and named settings that a domain declares as data (YAML). This module knows
// only the form of the table; which checks exist is the domain's business.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/report/check.h"

namespace loraproof::report {

/// Which direction of a value is good; Neither for yes/no findings.
enum class Better { Higher, Lower, Neither };

/// One check. In the table: title, explanation and severity are required; the rest is optional.
struct Rule {
  std::string id;
  std::string title;        ///< A phrase that fits after the id: "share of prompts ...".
  std::string explanation;  ///< What it means, why it matters, what to do.
  std::string source;       ///< Where the default limit comes from.
  Severity severity = Severity::Error;
  Better better = Better::Neither;
  Limit limit;
  /// "limit: derived": the limit normally comes with the measure (from a noise floor). When neither
  /// it nor the policy gives one, the check is inconclusive instead of a pass without a limit.
  bool needs_limit = false;
  std::int64_t min_n = 0;
  std::string min_n_from;  ///< Name of the integer setting that min_n defaults to, or empty.
  bool required = false;   ///< Undecided, it keeps the verdict from being a pass.
};

enum class SettingType { Number, Integer, Boolean, String };

/// A named value that analyses read ("golden.min_prompts").
struct Setting {
  std::string name;
  std::string title;
  SettingType type = SettingType::Number;
  Json default_value;
  std::optional<double> min;  ///< Allowed range of a number or integer.
  std::optional<double> max;
  std::vector<std::string> choices;  ///< Allowed values of a string; empty: any.
};

[[nodiscard]] std::string_view name_of(SettingType type);

/// Throws a usage Error at `where` in `file` unless `value` has the setting's type, range and
/// choice.
void expect_setting_value(const Setting& setting, const Json& value, std::string_view file,
                          std::string_view where);

/// Reads "error", "warn", "info", or "ignore" (the same as info); nullopt for anything else.
[[nodiscard]] std::optional<Severity> severity_of(std::string_view name);

/// Immutable once parsed; order is the order of the file.
class RuleTable {
 public:
  /// Parses the table. The text is part of the program, so a mistake in it is an internal Error.
  [[nodiscard]] static RuleTable parse(std::string_view yaml, std::string_view file);

  [[nodiscard]] std::span<const Rule> rules() const { return rules_; }
  [[nodiscard]] std::span<const Setting> settings() const { return settings_; }
  /// nullptr when there is no such id or name.
  [[nodiscard]] const Rule* find_rule(std::string_view id) const;
  [[nodiscard]] const Setting* find_setting(std::string_view name) const;

  [[nodiscard]] std::vector<std::string> rule_ids() const;
  [[nodiscard]] std::vector<std::string> setting_names() const;

 private:
  void parse_document(const JsonObject& document);

  std::vector<Rule> rules_;
  std::vector<Setting> settings_;
  std::map<std::string, std::size_t, std::less<>> rule_index_;
  std::map<std::string, std::size_t, std::less<>> setting_index_;
};

}  // namespace loraproof::report
