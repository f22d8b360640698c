// SPDX-License-Identifier: Apache-2.0
// The limits and severities in force: the rule table's defaults, then those of a golden suite, then
// loraproof.yaml, then --set; the layer applied last wins. A mistake in a layer is a usage Error
// (exit 2) that names the file and place, or the --set argument, and the nearest known name.
//
//   version: 1
//   checks:
//     golden.kl_answer: {max: 0.02, severity: warn}
//   settings:
//     golden.min_prompts: 50
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/report/check.h"
#include "loraproof/report/rules.h"

namespace loraproof::report {

/// What the policy says about one check.
struct CheckPolicy {
  Severity severity = Severity::Error;
  Limit default_limit;  ///< From the rule table; a measure's derived limit comes before it.
  Limit set_limit;      ///< From a policy layer; comes before everything.
  bool is_set = false;  ///< A policy layer names a limit or a severity.
  std::int64_t min_n = 0;
};

class Policy {
 public:
  explicit Policy(RuleTable table);

  /// Applies a whole loraproof.yaml. A file that can't be read or parsed is a usage Error as well.
  void apply_file(const std::filesystem::path& path);
  void apply_yaml(std::string_view yaml, std::string_view file);
  /// Applies one "checks" object ({<id>: {min, max, severity, min_n}}) of any document.
  void apply_checks(const JsonObject& checks);
  /// Applies one "settings" object ({<name>: value}).
  void apply_settings(const JsonObject& settings);
  /// Applies one KEY=VALUE of the command line. KEY is `<check id>.{min,max,severity,min_n}` or the
  /// name of a setting.
  void apply_set(std::string_view assignment);

  /// Throws a usage Error when a check's limits exclude every value (min above max). Called once
  /// all layers are applied, because a later layer may move the other side.
  void expect_consistent() const;

  [[nodiscard]] const RuleTable& table() const { return table_; }
  /// The rule and its policy; an unknown id is our own mistake and an internal Error.
  [[nodiscard]] const Rule& rule(std::string_view id) const;
  [[nodiscard]] CheckPolicy check(std::string_view id) const;

  /// The value of a named setting; an unknown name or another type is an internal Error.
  [[nodiscard]] double number(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] bool boolean(std::string_view name) const;
  [[nodiscard]] std::string text(std::string_view name) const;

 private:
  struct Override {
    std::optional<Severity> severity;
    Limit limit;
    std::optional<std::int64_t> min_n;
  };
  void apply_document(const Json& document, std::string_view file);
  void set_field(std::string_view id, std::string_view field, const Json& value,
                 std::string_view file, std::string_view where);
  void set_setting(std::string_view name, const Json& value, std::string_view file,
                   std::string_view where);
  [[nodiscard]] const Json& setting_value(std::string_view name, SettingType type) const;

  RuleTable table_;
  std::map<std::string, Override, std::less<>> overrides_;
  std::map<std::string, Json, std::less<>> values_;
};

/// Where the layers above the defaults come from, the lowest first.
struct PolicySources {
  Json suite_limits = Json::object();  ///< {<id>: {min, max, severity, min_n}} of a golden suite
  std::string suite_file;              ///< for messages about them
  std::optional<std::filesystem::path> file;
  std::vector<std::string> sets;  ///< KEY=VALUE, in the order of the command line.
};

/// All layers in their order, checked for consistency.
[[nodiscard]] Policy load_policy(RuleTable table, const PolicySources& sources);

}  // namespace loraproof::report
