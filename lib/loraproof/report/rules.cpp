// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/rules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/core/yaml.h"

namespace loraproof::report {
namespace {

constexpr std::array kRuleKeys = {"title", "explanation", "severity", "required", "min",
                                  "max",   "min_n",       "better",   "source",   "limit"};
constexpr std::array kSettingKeys = {"title", "type", "default", "min", "max", "choices"};

template <std::size_t N>
void expect_keys(const JsonObject& object, const std::array<const char*, N>& known) {
  for (const auto& [key, value] : object.json().items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw object.error(key, fmt::format("unknown key '{}'", key),
                         fmt::format("{}", fmt::join(known, ", ")));
    }
  }
}

std::optional<double> number_if_present(const JsonObject& object, std::string_view key) {
  return object.has(key) ? std::optional(object.number(key)) : std::nullopt;
}

std::string choice(const JsonObject& object, std::string_view key, std::string_view fallback,
                   std::initializer_list<std::string_view> allowed) {
  std::string value = object.string_or(key, fallback);
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    throw object.error(key, "unknown value", fmt::format("{}", fmt::join(allowed, ", ")), value);
  }
  return value;
}

Rule parse_rule(const std::string& id, const JsonObject& object) {
  expect_keys(object, kRuleKeys);
  Rule rule;
  rule.id = id;
  rule.title = object.string("title");
  rule.explanation = object.string("explanation");
  rule.source = object.string_or("source", "");
  rule.severity = *severity_of(choice(object, "severity", "", {"error", "warn", "info"}));
  const std::string better = choice(object, "better", "neither", {"higher", "lower", "neither"});
  rule.better = better == "higher"  ? Better::Higher
                : better == "lower" ? Better::Lower
                                    : Better::Neither;
  rule.limit = {number_if_present(object, "min"), number_if_present(object, "max")};
  rule.needs_limit = !choice(object, "limit", "", {"", "derived"}).empty();
  if (rule.needs_limit && !rule.limit.empty()) {
    throw object.error("limit", "a derived limit and a fixed one exclude each other");
  }
  if (const Json* min_n = object.find("min_n"); min_n != nullptr && min_n->is_string()) {
    rule.min_n_from = min_n->get<std::string>();
  } else {
    rule.min_n = object.integer_or("min_n", 0);
  }
  rule.required = object.boolean_or("required", false);
  return rule;
}

Setting parse_setting(const std::string& name, const JsonObject& object) {
  expect_keys(object, kSettingKeys);
  Setting setting;
  setting.name = name;
  setting.title = object.string("title");
  const std::string type = choice(object, "type", "", {"number", "integer", "boolean", "string"});
  setting.type = type == "number"    ? SettingType::Number
                 : type == "integer" ? SettingType::Integer
                 : type == "boolean" ? SettingType::Boolean
                                     : SettingType::String;
  setting.min = number_if_present(object, "min");
  setting.max = number_if_present(object, "max");
  if (const Json* choices = object.find("choices")) {
    setting.choices = choices->get<std::vector<std::string>>();
  }
  if (!object.has("default")) throw object.error("default", "a setting needs a default");
  setting.default_value = *object.find("default");
  expect_setting_value(setting, setting.default_value, object.file(), object.pointer_to("default"));
  return setting;
}

bool has_type(const Json& value, SettingType type) {
  switch (type) {
    case SettingType::Number: return value.is_number() && std::isfinite(value.get<double>());
    case SettingType::Boolean: return value.is_boolean();
    case SettingType::String: return value.is_string();
    case SettingType::Integer: break;
  }
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return value.is_number_integer() &&
         !(value.is_number_unsigned() && value.get<std::uint64_t>() > kMax);
}

std::string range_text(const Setting& setting) {
  if (setting.min && setting.max) return fmt::format(" from {} to {}", *setting.min, *setting.max);
  if (setting.min) return fmt::format(" of at least {}", *setting.min);
  if (setting.max) return fmt::format(" of at most {}", *setting.max);
  return "";
}

}  // namespace

std::string_view name_of(SettingType type) {
  switch (type) {
    case SettingType::Number: return "number";
    case SettingType::Integer: return "integer";
    case SettingType::Boolean: return "boolean";
    case SettingType::String: break;
  }
  return "string";
}

std::optional<Severity> severity_of(std::string_view name) {
  if (name == "error") return Severity::Error;
  if (name == "warn") return Severity::Warn;
  if (name == "info" || name == "ignore") return Severity::Info;
  return std::nullopt;
}

void expect_setting_value(const Setting& setting, const Json& value, std::string_view file,
                          std::string_view where) {
  const bool is_numeric =
      setting.type == SettingType::Number || setting.type == SettingType::Integer;
  bool valid = has_type(value, setting.type);
  if (valid && is_numeric) {
    const double number = value.get<double>();
    valid = (!setting.min || number >= *setting.min) && (!setting.max || number <= *setting.max);
  }
  if (valid && !setting.choices.empty()) {
    valid = std::find(setting.choices.begin(), setting.choices.end(), value.get<std::string>()) !=
            setting.choices.end();
  }
  if (valid) return;
  throw usage_error(
      {.message = fmt::format("bad value for '{}'", setting.name),
       .file = std::string(file),
       .where = std::string(where),
       .expected = setting.choices.empty()
                       ? fmt::format("{}{}", name_of(setting.type), range_text(setting))
                       : fmt::format("one of {}", fmt::join(setting.choices, ", ")),
       .found = brief(value)});
}

RuleTable RuleTable::parse(std::string_view yaml, std::string_view file) {
  try {
    const Json document = parse_yaml(yaml, file);
    RuleTable table;
    table.parse_document(JsonObject(document, file));
    return table;
  } catch (const Error& error) {
    throw internal_error(error.detail());
  } catch (const Json::exception& error) {
    throw internal_error({.message = error.what(), .file = std::string(file)});
  }
}

void RuleTable::parse_document(const JsonObject& document) {
  expect_keys(document, std::array{"version", "checks", "settings"});
  if (document.integer("version") != 1) throw document.error("version", "unknown version", "1");
  const JsonObject checks = document.object("checks");
  for (const auto& item : checks.json().items()) {
    rule_index_[item.key()] = rules_.size();
    rules_.push_back(parse_rule(item.key(), checks.object(item.key())));
  }
  const JsonObject settings = document.object("settings");
  for (const auto& item : settings.json().items()) {
    const std::string& name = item.key();
    // --set must be able to tell "<check id>.<field>" from a setting.
    if (find_rule(name.substr(0, name.rfind('.'))) != nullptr) {
      throw settings.error(name, "a setting's name may not begin with a check's id");
    }
    setting_index_[name] = settings_.size();
    settings_.push_back(parse_setting(name, settings.object(name)));
  }
  for (const Rule& rule : rules_) {
    if (rule.min_n_from.empty()) continue;
    const Setting* setting = find_setting(rule.min_n_from);
    if (setting == nullptr || setting->type != SettingType::Integer) {
      throw checks.object(rule.id).error("min_n", "no integer setting of this name", "",
                                         rule.min_n_from);
    }
  }
}

const Rule* RuleTable::find_rule(std::string_view id) const {
  const auto found = rule_index_.find(id);
  return found == rule_index_.end() ? nullptr : &rules_[found->second];
}

const Setting* RuleTable::find_setting(std::string_view name) const {
  const auto found = setting_index_.find(name);
  return found == setting_index_.end() ? nullptr : &settings_[found->second];
}

std::vector<std::string> RuleTable::rule_ids() const {
  std::vector<std::string> ids;
  for (const Rule& rule : rules_) ids.push_back(rule.id);
  return ids;
}

std::vector<std::string> RuleTable::setting_names() const {
  std::vector<std::string> names;
  for (const Setting& setting : settings_) names.push_back(setting.name);
  return names;
}

}  // namespace loraproof::report
