// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/policy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/core/suggest.h"
#include "loraproof/core/yaml.h"

namespace loraproof::report {
namespace {

constexpr std::array<std::string_view, 4> kFields = {"min", "max", "severity", "min_n"};

// Edit distance costs the product of both lengths; no known name is longer than this.
constexpr std::size_t kMaxNameChars = 128;

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  if (name.size() > kMaxNameChars) return "";
  const std::string nearest = nearest_name(name, candidates);
  return nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest);
}

std::string shortened(std::string_view name) {
  return name.size() <= kMaxNameChars ? std::string(name)
                                      : std::string(name.substr(0, kMaxNameChars)) + "...";
}

template <class Candidates>
Error unknown(std::string_view what, std::string_view name, std::string_view file,
              std::string_view where, const Candidates& candidates) {
  const std::vector<std::string> names(std::begin(candidates), std::end(candidates));
  return usage_error({.message = fmt::format("unknown {} '{}'", what, shortened(name)),
                      .file = std::string(file),
                      .where = shortened(where),
                      .hint = did_you_mean(name, names)});
}

// The value of a --set argument: a number, true or false, else a string.
Json argument_value(const std::string& text) {
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto [rest, code] = std::from_chars(text.data(), end, integer);
      code == std::errc() && rest == end && !text.empty()) {
    return integer;
  }
  double number = 0;
  if (const auto [rest, code] = std::from_chars(text.data(), end, number);
      code == std::errc() && rest == end && !text.empty()) {
    return number;
  }
  if (text == "true" || text == "false") return text == "true";
  return text;
}

// Runs `read`; what goes wrong in it is the configuration's fault and so a usage Error.
template <class Read>
void as_configuration(Read read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::Input) throw;
    throw usage_error(error.detail());
  }
}

Setting number_field(std::string_view id, std::string_view field) {
  return {.name = fmt::format("{}.{}", id, field), .type = SettingType::Number};
}

}  // namespace

Policy::Policy(RuleTable table) : table_(std::move(table)) {}

void Policy::apply_file(const std::filesystem::path& path) {
  as_configuration([&] { apply_document(read_yaml_file(path), path.string()); });
}

void Policy::apply_yaml(std::string_view yaml, std::string_view file) {
  as_configuration([&] { apply_document(parse_yaml(yaml, file), file); });
}

void Policy::apply_document(const Json& document, std::string_view file) {
  constexpr std::array<std::string_view, 3> kKeys = {"version", "checks", "settings"};
  const JsonObject root(document, file);
  for (const auto& [key, value] : document.items()) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      throw unknown("key", key, file, root.pointer_to(key), kKeys);
    }
  }
  if (!root.has("version")) {
    throw root.error("version", "the policy's version is missing", "version: 1");
  }
  if (const auto version = root.integer("version"); version != 1) {
    throw root.error("version", "unknown version of the policy", "1", std::to_string(version));
  }
  if (root.has("checks")) apply_checks(root.object("checks"));
  if (root.has("settings")) apply_settings(root.object("settings"));
}

void Policy::apply_checks(const JsonObject& checks) {
  as_configuration([&] {
    for (const auto& item : checks.json().items()) {
      const std::string& id = item.key();
      if (table_.find_rule(id) == nullptr) {
        throw unknown("check", id, checks.file(), checks.pointer_to(id), table_.rule_ids());
      }
      const JsonObject fields = checks.object(id);
      for (const auto& [field, value] : fields.json().items()) {
        set_field(id, field, value, checks.file(), fields.pointer_to(field));
      }
    }
  });
}

void Policy::apply_settings(const JsonObject& settings) {
  as_configuration([&] {
    for (const auto& [name, value] : settings.json().items()) {
      set_setting(name, value, settings.file(), settings.pointer_to(name));
    }
  });
}

void Policy::apply_set(std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  const std::string where = fmt::format("--set {}", shortened(assignment));
  if (equals == std::string_view::npos || equals == 0) {
    throw usage_error({.message = "not an assignment",
                       .where = where,
                       .expected = "KEY=VALUE",
                       .hint = "for example --set golden.min_prompts=50"});
  }
  const std::string_view key = assignment.substr(0, equals);
  const std::string value(assignment.substr(equals + 1));
  if (const Setting* setting = table_.find_setting(key)) {
    const bool is_string = setting->type == SettingType::String;
    set_setting(key, is_string ? Json(value) : argument_value(value), "", where);
    return;
  }
  const std::size_t dot = key.rfind('.');
  const std::string_view id = key.substr(0, dot == std::string_view::npos ? 0 : dot);
  if (table_.find_rule(id) != nullptr) {
    set_field(id, key.substr(dot + 1), argument_value(value), "", where);
    return;
  }
  std::vector<std::string> keys = table_.setting_names();
  for (const Rule& rule : table_.rules()) {
    for (std::string_view field : kFields) keys.push_back(fmt::format("{}.{}", rule.id, field));
  }
  if (table_.find_rule(key) != nullptr) {
    throw usage_error({.message = fmt::format("'{}' is a check, not a value of one", key),
                       .where = where,
                       .expected = fmt::format("{}.{{{}}}=VALUE", key, fmt::join(kFields, ","))});
  }
  throw unknown("key", key, "", where, keys);
}

void Policy::set_field(std::string_view id, std::string_view field, const Json& value,
                       std::string_view file, std::string_view where) {
  Override& changed = overrides_[std::string(id)];
  if (field == "severity") {
    const auto severity = value.is_string() ? severity_of(value.get<std::string>()) : std::nullopt;
    if (!severity) {
      throw usage_error({.message = fmt::format("bad value for '{}.severity'", id),
                         .file = std::string(file),
                         .where = std::string(where),
                         .expected = "one of error, warn, info, ignore",
                         .found = brief(value)});
    }
    changed.severity = *severity;
  } else if (field == "min_n") {
    Setting count = number_field(id, field);
    count.type = SettingType::Integer;
    count.min = 0;
    expect_setting_value(count, value, file, where);
    changed.min_n = value.get<std::int64_t>();
  } else if (field == "min" || field == "max") {
    expect_setting_value(number_field(id, field), value, file, where);
    (field == "min" ? changed.limit.min : changed.limit.max) = value.get<double>();
  } else {
    throw usage_error({.message = fmt::format("check '{}' has no field '{}'", id, shortened(field)),
                       .file = std::string(file),
                       .where = shortened(where),
                       .expected = fmt::format("one of {}", fmt::join(kFields, ", "))});
  }
}

void Policy::set_setting(std::string_view name, const Json& value, std::string_view file,
                         std::string_view where) {
  const Setting* setting = table_.find_setting(name);
  if (setting == nullptr) throw unknown("setting", name, file, where, table_.setting_names());
  expect_setting_value(*setting, value, file, where);
  values_[std::string(name)] = value;
}

void Policy::expect_consistent() const {
  for (const Rule& rule : table_.rules()) {
    const CheckPolicy policy = check(rule.id);
    const auto min = policy.set_limit.min ? policy.set_limit.min : policy.default_limit.min;
    const auto max = policy.set_limit.max ? policy.set_limit.max : policy.default_limit.max;
    if (min && max && *min > *max) {
      throw usage_error({.message = "the limits exclude every value",
                         .where = rule.id,
                         .expected = "min at most max",
                         .found = fmt::format("min {} and max {}", *min, *max)});
    }
  }
}

const Rule& Policy::rule(std::string_view id) const {
  const Rule* found = table_.find_rule(id);
  if (found == nullptr) {
    throw internal_error({.message = fmt::format("no rule for the check '{}'", id),
                          .hint = "add it to the table of rules"});
  }
  return *found;
}

CheckPolicy Policy::check(std::string_view id) const {
  const Rule& defaults = rule(id);
  const auto found = overrides_.find(id);
  const Override& changed = found == overrides_.end() ? Override{} : found->second;
  const std::int64_t min_n =
      defaults.min_n_from.empty() ? defaults.min_n : integer(defaults.min_n_from);
  return {.severity = changed.severity.value_or(defaults.severity),
          .default_limit = defaults.limit,
          .set_limit = changed.limit,
          .is_set = changed.severity || !changed.limit.empty(),
          .min_n = changed.min_n.value_or(min_n)};
}

const Json& Policy::setting_value(std::string_view name, SettingType type) const {
  const Setting* setting = table_.find_setting(name);
  if (setting == nullptr || setting->type != type) {
    throw internal_error({.message = fmt::format("no {} setting '{}'", name_of(type), name)});
  }
  const auto found = values_.find(name);
  return found == values_.end() ? setting->default_value : found->second;
}

double Policy::number(std::string_view name) const {
  return setting_value(name, SettingType::Number).get<double>();
}
std::int64_t Policy::integer(std::string_view name) const {
  return setting_value(name, SettingType::Integer).get<std::int64_t>();
}
bool Policy::boolean(std::string_view name) const {
  return setting_value(name, SettingType::Boolean).get<bool>();
}
std::string Policy::text(std::string_view name) const {
  return setting_value(name, SettingType::String).get<std::string>();
}

Policy load_policy(RuleTable table, const PolicySources& sources) {
  Policy policy(std::move(table));
  policy.apply_checks(JsonObject(sources.suite_limits, sources.suite_file, "/limits"));
  if (sources.file) policy.apply_file(*sources.file);
  for (const std::string& assignment : sources.sets) policy.apply_set(assignment);
  policy.expect_consistent();
  return policy;
}

}  // namespace loraproof::report
