// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/explain.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/core/json_number.h"
#include "loraproof/core/suggest.h"
#include "loraproof/report/numbers.h"
#include "loraproof/report/writers/layout.h"

namespace loraproof::report {
namespace {

constexpr std::size_t kWidth = 100;

std::string family_of(std::string_view id) { return std::string(id.substr(0, id.find('.'))); }

std::string range_of(std::optional<double> min, std::optional<double> max) {
  std::vector<std::string> sides;
  if (min) sides.push_back("at least " + format_number(*min));
  if (max) sides.push_back("at most " + format_number(*max));
  return fmt::format("{}", fmt::join(sides, " and "));
}

std::string severity_text(const Rule& rule) {
  switch (rule.severity) {
    case Severity::Error: return "error (a finding fails the gate)";
    case Severity::Warn: return "warn (a finding does not fail the gate)";
    case Severity::Info: break;
  }
  return "info (only reported)";
}

std::string default_limit_of(const Rule& rule) {
  if (rule.needs_limit) return "derived from the noise floor of the reference";
  if (!rule.limit.empty()) return range_of(rule.limit.min, rule.limit.max);
  return "";
}

std::string samples_of(const Rule& rule) {
  if (!rule.min_n_from.empty()) return fmt::format("at least {}", rule.min_n_from);
  return rule.min_n > 0 ? fmt::format("at least {}", rule.min_n) : "";
}

/// The fields that make sense for a rule: one without a value has no limits to set.
std::vector<std::string> fields_of(const Rule& rule) {
  std::vector<std::string> fields;
  if (rule.needs_limit || !rule.limit.empty()) {
    if (rule.limit.min || rule.better == Better::Higher) fields.emplace_back("min");
    if (rule.limit.max || rule.better == Better::Lower) fields.emplace_back("max");
  }
  fields.emplace_back("severity");
  if (!samples_of(rule).empty()) fields.emplace_back("min_n");
  return fields;
}

std::string example_value(const Rule& rule, std::string_view field) {
  if (field == "severity") return rule.severity == Severity::Warn ? "error" : "warn";
  if (field == "min") return rule.limit.min ? format_number(*rule.limit.min) : "0.999";
  if (field == "max") return rule.limit.max ? format_number(*rule.limit.max) : "0.02";
  return std::to_string(std::max<std::int64_t>(rule.min_n, 20));
}

/// A sentence or pieces of code under a name; left out when it holds neither.
struct Fact {
  std::string name;
  std::string text;
  std::vector<std::string> code = {};
};
using Facts = std::vector<Fact>;

Facts facts_of(const Rule& rule) {
  std::vector<std::string> settings;
  std::vector<std::string> entries;
  for (const std::string& field : fields_of(rule)) {
    const std::string value = example_value(rule, field);
    settings.push_back(fmt::format("--set {}.{}={}", rule.id, field, value));
    entries.push_back(fmt::format("{}: {}", field, value));
  }
  return {{"severity", severity_text(rule)},
          {"undecided", rule.required ? "the verdict is inconclusive, not a pass" : ""},
          {"limit", default_limit_of(rule)},
          {"samples", samples_of(rule)},
          {"why this limit", rule.source},
          {"change it with", "", settings},
          {"or in loraproof.yaml",
           "",
           {fmt::format("checks: {{{}: {{{}}}}}", rule.id, fmt::join(entries, ", "))}}};
}

Facts facts_of(const Setting& setting) {
  const std::string value = setting.default_value.dump();
  std::string allowed(name_of(setting.type));
  if (!setting.choices.empty()) {
    allowed += fmt::format(", one of {}", fmt::join(setting.choices, ", "));
  }
  if (const std::string range = range_of(setting.min, setting.max); !range.empty()) {
    allowed += ", " + range;
  }
  return {{"value", allowed},
          {"default", value},
          {"change it with", "", {fmt::format("--set {}={}", setting.name, value)}},
          {"or in loraproof.yaml", "", {fmt::format("settings: {{{}: {}}}", setting.name, value)}}};
}

void add_facts(std::string& out, const Facts& facts) {
  for (const Fact& fact : facts) {
    if (!fact.text.empty()) out += wrapped("  " + fact.name + ": ", fact.text, 4, kWidth);
    if (!fact.code.empty()) out += "  " + fact.name + ":\n";
    for (const std::string& line : fact.code) out += "    " + line + '\n';
  }
}

std::string text_in_full(const Topic& topic) {
  std::string out;
  const auto begin = [&](const std::string& name, const std::string& title) {
    out += fmt::format("{}{}\n  {}\n\n", out.empty() ? "" : "\n", name, title);
  };
  for (const Rule* rule : topic.rules) {
    begin(rule->id, rule->title);
    out += wrapped("  ", rule->explanation, 2, kWidth) + '\n';
    add_facts(out, facts_of(*rule));
  }
  for (const Setting* setting : topic.settings) {
    begin(setting->name, "setting: " + setting->title);
    add_facts(out, facts_of(*setting));
  }
  return out;
}

std::string text_list(const Topic& topic) {
  std::size_t width = 0;
  for (const Rule* rule : topic.rules) width = std::max(width, rule->id.size());
  for (const Setting* setting : topic.settings) width = std::max(width, setting->name.size());
  std::string out;
  std::string family;
  const auto line = [&](const std::string& heading, const std::string& id,
                        const std::string& title) {
    if (heading != family) out += fmt::format("{}{}\n", out.empty() ? "" : "\n", heading);
    family = heading;
    out += wrapped("  " + padded(id, width) + "  ", title, width + 4, kWidth);
  };
  for (const Rule* rule : topic.rules) line(family_of(rule->id), rule->id, rule->title);
  for (const Setting* setting : topic.settings) line("settings", setting->name, setting->title);
  return out + "\nloraproof explain ID tells more about one.\n";
}

/// Table cells and headings; the table is our own text, so only "|" could do harm.
std::string markdown(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string markdown_fact(const Fact& fact) {
  if (!fact.text.empty()) return fmt::format("- {}: {}\n", fact.name, markdown(fact.text));
  if (fact.code.empty()) return "";
  return fmt::format("- {}: `{}`\n", fact.name, fmt::join(fact.code, "`, `"));
}

std::string markdown_in_full(const Topic& topic) {
  std::string out;
  const auto add = [&](const std::string& name, const std::string& title,
                       const std::string& explanation, const Facts& facts) {
    out += fmt::format("{}### `{}`\n\n**{}**\n\n", out.empty() ? "" : "\n", name, markdown(title));
    if (!explanation.empty()) out += markdown(explanation) + "\n\n";
    for (const Fact& fact : facts) out += markdown_fact(fact);
  };
  for (const Rule* rule : topic.rules) {
    add(rule->id, rule->title, rule->explanation, facts_of(*rule));
  }
  for (const Setting* setting : topic.settings) {
    add(setting->name, "Setting: " + setting->title, "", facts_of(*setting));
  }
  return out;
}

std::string markdown_list(const Topic& topic) {
  std::string out = "| id | judges |\n|---|---|\n";
  for (const Rule* rule : topic.rules) {
    out += fmt::format("| `{}` | {} |\n", rule->id, markdown(rule->title));
  }
  for (const Setting* setting : topic.settings) {
    out += fmt::format("| `{}` | setting: {} |\n", setting->name, markdown(setting->title));
  }
  return out;
}

Json to_json(const Rule& rule) {
  return {{"id", rule.id},
          {"title", rule.title},
          {"explanation", rule.explanation},
          {"severity", name_of(rule.severity)},
          {"required", rule.required},
          {"min", number_or_null(rule.limit.min)},
          {"max", number_or_null(rule.limit.max)},
          {"limit_is_derived", rule.needs_limit},
          {"min_n", rule.min_n_from.empty() ? Json(rule.min_n) : Json(rule.min_n_from)},
          {"source", rule.source}};
}

Json to_json(const Setting& setting) {
  return {{"name", setting.name},
          {"title", setting.title},
          {"type", name_of(setting.type)},
          {"default", setting.default_value},
          {"min", number_or_null(setting.min)},
          {"max", number_or_null(setting.max)},
          {"choices", setting.choices}};
}

Error unknown_name(const RuleTable& table, std::string_view name) {
  std::vector<std::string> known = table.rule_ids();
  for (std::string& setting : table.setting_names()) known.push_back(std::move(setting));
  std::vector<std::string> families;
  for (const std::string& id : known) {
    if (std::ranges::count(families, family_of(id)) == 0) families.push_back(family_of(id));
  }
  std::vector<std::string> candidates = known;
  candidates.insert(candidates.end(), families.begin(), families.end());
  const std::string nearest = nearest_name(name, candidates);
  return usage_error({.message = "no check or setting of this name",
                      .expected = fmt::format("an id, or a family: {}", fmt::join(families, ", ")),
                      .found = std::string(name),
                      .hint = nearest.empty() ? "loraproof explain lists them all"
                                              : fmt::format("did you mean '{}'?", nearest)});
}

}  // namespace

Topic find_topic(const RuleTable& table, std::string_view name) {
  if (const Rule* rule = table.find_rule(name)) return {.rules = {rule}, .in_full = true};
  if (const Setting* setting = table.find_setting(name)) {
    return {.settings = {setting}, .in_full = true};
  }
  // Only a whole family: "golden.tex" is a mistyped name and not the list of what begins so.
  const bool is_prefix = name.empty() || name.ends_with('.');
  const bool is_family = name.find('.') == name.npos;
  if (!is_prefix && !is_family) throw unknown_name(table, name);
  const std::string prefix = std::string(name) + (is_prefix ? "" : ".");
  Topic topic;
  for (const Rule& rule : table.rules()) {
    if (rule.id.starts_with(prefix)) topic.rules.push_back(&rule);
  }
  for (const Setting& setting : table.settings()) {
    if (setting.name.starts_with(prefix)) topic.settings.push_back(&setting);
  }
  if (topic.rules.empty() && topic.settings.empty()) throw unknown_name(table, name);
  return topic;
}

Topic whole_table(const RuleTable& table) {
  Topic topic = find_topic(table, "");
  topic.in_full = true;
  return topic;
}

std::string explain(const Topic& topic, ExplainFormat format) {
  if (format == ExplainFormat::Text) return topic.in_full ? text_in_full(topic) : text_list(topic);
  if (format == ExplainFormat::Markdown) {
    return topic.in_full ? markdown_in_full(topic) : markdown_list(topic);
  }
  Json document = {{"checks", Json::array()}, {"settings", Json::array()}};
  for (const Rule* rule : topic.rules) document["checks"].push_back(to_json(*rule));
  for (const Setting* setting : topic.settings) document["settings"].push_back(to_json(*setting));
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace loraproof::report
