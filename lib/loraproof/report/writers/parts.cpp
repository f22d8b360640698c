// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/writers/parts.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <utility>

#include "loraproof/core/json.h"
#include "loraproof/report/numbers.h"

namespace loraproof::report {
namespace {

std::optional<std::string> text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

bool is_diverging(const Json& prompt) {
  if (!prompt.is_object()) return false;
  const auto diverged = prompt.find("diverged");
  return diverged != prompt.end() && diverged->is_boolean() && diverged->get<bool>();
}

std::string from_text(const Json& prompt) {
  const auto first = prompt.find("first_divergence");
  if (first == prompt.end() || !first->is_object()) return "";
  std::string text;
  if (const auto position = first->find("position");
      position != first->end() && position->is_number_integer()) {
    text = fmt::format("from answer token {}", position->get<std::int64_t>());
  }
  const auto was = text_at(*first, "reference_token");
  const auto now = text_at(*first, "token");
  if (was || now) {
    text += fmt::format("{}'{}' became '{}'", text.empty() ? "" : ": ", was.value_or(""),
                        now.value_or(""));
  }
  if (const auto margin = first->find("margin"); margin != first->end() && margin->is_number()) {
    text +=
        fmt::format("{}margin {}", text.empty() ? "" : ", ", format_number(margin->get<double>()));
  }
  return text;
}

}  // namespace

std::vector<CheckGroup> grouped_checks(const Report& report,
                                       const std::function<bool(const Check&)>& keep) {
  std::vector<CheckGroup> groups;
  std::map<std::string, std::size_t, std::less<>> index;
  for (const Check& check : report.checks) {
    if (!keep(check)) continue;
    const auto [place, is_new] = index.try_emplace(check.id, groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(&check);
  }
  return groups;
}

bool fails_gate(const Check& check, const GateOptions& gate) {
  switch (check.status) {
    case Status::Fail: return true;
    case Status::Warn: return gate.fail_on == FailOn::Warn;
    case Status::Inconclusive:
      return gate.inconclusive == InconclusiveExit::Fail && check.required &&
             check.severity == Severity::Error;
    default: return false;
  }
}

std::string name_with_subject(const Check& check) {
  return check.subject.empty() ? check.id : fmt::format("{} [{}]", check.id, check.subject);
}

std::string value_figure(const Check& check) {
  return check.value ? format_number(*check.value, digits_for(check.value, check.limit)) : "";
}

std::string limit_figure(const Check& check) {
  if (!check.limit) return "";
  const int digits = digits_for(check.value, check.limit);
  std::vector<std::string> sides;
  if (check.limit->min) sides.push_back("min " + format_number(*check.limit->min, digits));
  if (check.limit->max) sides.push_back("max " + format_number(*check.limit->max, digits));
  return fmt::format("{}", fmt::join(sides, ", "));
}

std::string interval_figure(const Check& check) {
  if (!check.interval) return "";
  const Interval& interval = *check.interval;
  const int digits = digits_to_tell_apart(interval.low, interval.high);
  return fmt::format("{} to {} ({}%)", format_number(interval.low, digits),
                     format_number(interval.high, digits), format_number(interval.level * 100));
}

std::string smallest_effect_figure(const Check& check) {
  return check.smallest_effect ? format_number(*check.smallest_effect, 2) : "";
}

std::string all_figures(const Check& check) {
  std::vector<std::string> parts;
  if (check.value) parts.push_back("value " + value_figure(check));
  if (std::string limit = limit_figure(check); !limit.empty()) parts.push_back(std::move(limit));
  if (check.interval) parts.push_back("interval " + interval_figure(check));
  if (check.n) parts.push_back(fmt::format("n {}", *check.n));
  if (check.smallest_effect)
    parts.push_back("smallest effect seen " + smallest_effect_figure(check));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string count_line(const Report& report) {
  const std::pair<Status, std::string_view> words[] = {{Status::Fail, "failed"},
                                                       {Status::Warn, "warned"},
                                                       {Status::Inconclusive, "inconclusive"},
                                                       {Status::Pass, "passed"},
                                                       {Status::Skipped, "skipped"}};
  if (report.checks.empty()) return "no checks";
  std::vector<std::string> parts;
  for (const auto& [status, word] : words) {
    const auto n = std::ranges::count(report.checks, status, &Check::status);
    if (n > 0) parts.push_back(fmt::format("{} {}", n, word));
  }
  return fmt::format("{} check{}: {}", report.checks.size(), report.checks.size() == 1 ? "" : "s",
                     fmt::join(parts, ", "));
}

std::string verdict_note(const Report& report) {
  const Verdict verdict = report.verdict();
  if (verdict == Verdict::Fail &&
      std::ranges::count(report.checks, Status::Fail, &Check::status) == 0) {
    return "warnings fail (--fail-on warn)";
  }
  if (verdict == Verdict::Inconclusive && report.exit_code() != ExitCode::Inconclusive) {
    return fmt::format("exit code {} (--inconclusive)", static_cast<int>(report.exit_code()));
  }
  return "";
}

std::vector<std::string> error_lines(const ErrorDetail& detail) {
  const std::pair<std::string_view, const std::string&> fields[] = {
      {"file", detail.file},   {"where", detail.where}, {"expected", detail.expected},
      {"found", detail.found}, {"hint", detail.hint},   {"id", detail.id}};
  std::vector<std::string> lines;
  for (const auto& [name, text] : fields) {
    if (!text.empty()) lines.push_back(fmt::format("{}: {}", name, text));
  }
  return lines;
}

std::vector<Divergence> divergences(const Report& report) {
  std::vector<Divergence> found;
  if (!report.prompts.is_array()) return found;
  for (const Json& prompt : report.prompts) {
    if (!is_diverging(prompt)) continue;
    found.push_back({.id = text_at(prompt, "id").value_or(""),
                     .adapter = text_at(prompt, "adapter").value_or(""),
                     .from = from_text(prompt),
                     .before = text_at(prompt, "reference_text"),
                     .now = text_at(prompt, "text")});
  }
  return found;
}

}  // namespace loraproof::report
