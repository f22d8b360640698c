// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/writers/text.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <utility>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/report/numbers.h"
#include "loraproof/report/writers/chart.h"
#include "loraproof/report/writers/layout.h"

namespace loraproof::report {
namespace {

constexpr std::size_t kIndent = 5;

enum class Colour { None, Red, Yellow, Green, Dim, Bold };

std::string painted(std::string_view text, Colour colour, const WriterOptions& options) {
  if (!options.colour || colour == Colour::None) return std::string(text);
  const int code = colour == Colour::Red      ? 31
                   : colour == Colour::Yellow ? 33
                   : colour == Colour::Green  ? 32
                   : colour == Colour::Dim    ? 2
                                              : 1;
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

using CheckGroup = std::vector<const Check*>;

/// The checks of one status grouped by id, in the order in which the ids first appear.
std::vector<CheckGroup> groups_of(const Report& report, Status status) {
  std::vector<CheckGroup> groups;
  std::map<std::string, std::size_t, std::less<>> index;
  for (const Check& check : report.checks) {
    if (check.status != status) continue;
    const auto [place, is_new] = index.try_emplace(check.id, groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(&check);
  }
  return groups;
}

std::string limit_text(const Limit& limit, int digits) {
  std::vector<std::string> sides;
  if (limit.min) sides.push_back("min " + format_number(*limit.min, digits));
  if (limit.max) sides.push_back("max " + format_number(*limit.max, digits));
  return fmt::format("{}", fmt::join(sides, ", "));
}

std::string interval_text(const Interval& interval) {
  const int digits = digits_to_tell_apart(interval.low, interval.high);
  return fmt::format("{}% interval {} to {}", format_number(interval.level * 100),
                     format_number(interval.low, digits), format_number(interval.high, digits));
}

/// "value 0.69, max 0.015, 95% interval 0.55 to 0.83, n 1280", or "" when the check has no figures.
std::string figures(const Check& check) {
  const int digits = digits_for(check.value, check.limit);
  std::vector<std::string> parts;
  if (check.value) parts.push_back("value " + format_number(*check.value, digits));
  if (check.limit) parts.push_back(limit_text(*check.limit, digits));
  if (check.interval) parts.push_back(interval_text(*check.interval));
  if (check.n) parts.push_back(fmt::format("n {}", *check.n));
  if (check.smallest_effect) {
    parts.push_back("smallest effect seen " + format_number(*check.smallest_effect, 2));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string name_with_subject(const Check& check) {
  return check.subject.empty()
             ? printable(check.id)
             : fmt::format("{} [{}]", printable(check.id), printable(check.subject));
}

class TextWriter {
 public:
  TextWriter(const Report& report, const WriterOptions& options)
      : report_(report), options_(options) {}

  std::string write() {
    header();
    if (report_.error) error(report_.error->detail);
    findings(Status::Fail, "FAIL", Colour::Red);
    findings(Status::Warn, "WARN", Colour::Yellow);
    findings(Status::Inconclusive, "INCONCLUSIVE", Colour::Yellow);
    diverging_prompts();
    tables();
    contributions();
    passed();
    reported();
    skipped();
    run();
    summary();
    return std::move(out_);
  }

 private:
  void line(std::string_view text) {
    out_ += text;
    out_ += '\n';
  }

  void paragraph(std::size_t indent, std::string_view lead, std::string_view text) {
    out_ += wrapped(std::string(indent, ' ') + std::string(lead), printable(text), indent,
                    options_.width);
  }

  void header() {
    const ToolInfo& tool = report_.tool;
    std::vector<std::string> how;
    if (!tool.device.empty()) how.push_back(tool.device);
    if (!tool.compute.empty()) how.push_back(tool.compute);
    if (tool.threads > 0) {
      how.push_back(fmt::format("{} thread{}", tool.threads, tool.threads == 1 ? "" : "s"));
    }
    if (!tool.libtorch.empty()) how.push_back("libtorch " + tool.libtorch);
    std::string title = fmt::format("{} {} {}", tool.name, tool.version, report_.command);
    if (!how.empty()) title += fmt::format(" ({})", fmt::join(how, ", "));
    line(painted(printable(title), Colour::Bold, options_));

    std::size_t width = 0;
    for (const ReportInput& input : report_.inputs) {
      width = std::max(width, display_width(printable(input.role)));
    }
    for (const ReportInput& input : report_.inputs) {
      std::string text = padded(printable(input.role), width) + "  " + printable(input.path);
      // Twelve hex digits tell two inputs apart; the JSON report has the whole digest.
      if (!input.sha256.empty()) text += "  " + printable(input.sha256.substr(0, 7 + 12));
      line("  " + text);
    }
    line("");
  }

  void error(const ErrorDetail& detail) {
    out_ += painted("ERROR", Colour::Red, options_);
    out_ += wrapped(" ", printable(detail.message), kIndent, options_.width);
    const std::pair<std::string_view, const std::string&> fields[] = {
        {"file: ", detail.file},   {"where: ", detail.where}, {"expected: ", detail.expected},
        {"found: ", detail.found}, {"hint: ", detail.hint},   {"id: ", detail.id}};
    for (const auto& [name, text] : fields) {
      if (!text.empty()) paragraph(kIndent, name, text);
    }
    line("");
  }

  void findings(Status status, std::string_view label, Colour colour) {
    for (const CheckGroup& group : groups_of(report_, status)) {
      std::string title =
          group.size() == 1
              ? name_with_subject(*group.front())
              : fmt::format("{}: {} findings", printable(group.front()->id), group.size());
      if (status == Status::Inconclusive && group.front()->required) title += " (required)";
      line(painted(label, colour, options_) + " " + title);
      if (group.size() == 1) {
        paragraph(kIndent, "", group.front()->message);
        if (const std::string text = figures(*group.front()); !text.empty()) {
          paragraph(kIndent, "", text);
        }
      } else {
        for (const Check* check : group) list_item(*check);
      }
      hints(group);
      line("");
    }
  }

  void list_item(const Check& check) {
    std::string lead = std::string(kIndent, ' ') + "- ";
    if (!check.subject.empty()) lead += printable(check.subject) + ": ";
    std::string text = printable(check.message);
    if (const std::string numbers = figures(check); !numbers.empty()) text += " (" + numbers + ")";
    out_ += wrapped(lead, text, kIndent + 4, options_.width);
  }

  /// Each different hint of a group once.
  void hints(const CheckGroup& group) {
    std::vector<std::string_view> seen;
    for (const Check* check : group) {
      if (check->hint.empty()) continue;
      if (std::find(seen.begin(), seen.end(), check->hint) != seen.end()) continue;
      seen.push_back(check->hint);
      paragraph(kIndent, "hint: ", check->hint);
    }
  }

  static bool has_figures(const Check& check) { return check.value || check.n; }

  void passed() {
    std::vector<const Check*> with_figures;
    std::vector<std::string> plain;
    for (const Check& check : report_.checks) {
      if (check.status != Status::Pass || check.severity == Severity::Info) continue;
      if (has_figures(check)) {
        with_figures.push_back(&check);
      } else {
        plain.push_back(name_with_subject(check));
      }
    }
    if (with_figures.empty() && plain.empty()) return;
    line(painted("passed", Colour::Green, options_));
    std::size_t width = 0;
    for (const Check* check : with_figures) {
      width = std::max(width, display_width(name_with_subject(*check)));
    }
    for (const Check* check : with_figures) {
      line("  " + padded(name_with_subject(*check), width) + "  " + figures(*check));
    }
    if (!plain.empty()) {
      out_ += wrapped("  ", fmt::format("{}", fmt::join(plain, ", ")), 2, options_.width);
    }
    line("");
  }

  void reported() {
    bool any = false;
    for (const Check& check : report_.checks) {
      if (check.status != Status::Pass || check.severity != Severity::Info) continue;
      if (!std::exchange(any, true)) line(painted("reported only", Colour::Bold, options_));
      std::string text = printable(check.message);
      if (const std::string numbers = figures(check); !numbers.empty())
        text += " (" + numbers + ")";
      out_ += wrapped("  " + name_with_subject(check) + ": ", text, 4, options_.width);
    }
    if (any) line("");
  }

  void skipped() {
    std::vector<std::pair<std::string_view, std::vector<std::string>>> by_reason;
    for (const Check& check : report_.checks) {
      if (check.status != Status::Skipped) continue;
      auto place = std::find_if(by_reason.begin(), by_reason.end(),
                                [&](const auto& each) { return each.first == check.message; });
      if (place == by_reason.end()) place = by_reason.insert(by_reason.end(), {check.message, {}});
      place->second.push_back(name_with_subject(check));
    }
    if (by_reason.empty()) return;
    line(painted("skipped", Colour::Dim, options_));
    for (const auto& [reason, names] : by_reason) {
      out_ += wrapped("  ", fmt::format("{}: {}", fmt::join(names, ", "), printable(reason)), 4,
                      options_.width);
    }
    line("");
  }

  // Keys as docs/schema/report-1.json describes them; a key of another type is not shown.
  static std::string text_at(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
  }

  static bool is_diverging(const Json& prompt) {
    if (!prompt.is_object()) return false;
    const auto diverged = prompt.find("diverged");
    return diverged != prompt.end() && diverged->is_boolean() && diverged->get<bool>();
  }

  void diverging_prompts() {
    if (!report_.prompts.is_array()) return;
    const auto count = std::count_if(report_.prompts.begin(), report_.prompts.end(), is_diverging);
    if (count == 0) return;
    line(painted(
        fmt::format("prompts whose answer differs ({} of {})", count, report_.prompts.size()),
        Colour::Bold, options_));
    // What became wrong is what the reader looks for.
    for (const std::string_view flip : {"right_to_wrong", "wrong_to_right", ""}) {
      for (const Json& prompt : report_.prompts) {
        if (is_diverging(prompt) && text_at(prompt, "flip") == flip) diverging_prompt(prompt);
      }
    }
    line("");
  }

  void diverging_prompt(const Json& prompt) {
    std::string title = text_at(prompt, "id");
    if (const std::string adapter = text_at(prompt, "adapter"); !adapter.empty()) {
      title += fmt::format(" [{}]", adapter);
    }
    if (const std::string flip = text_at(prompt, "flip"); !flip.empty()) {
      title += flip == "right_to_wrong" ? ", was right, is wrong" : ", was wrong, is right";
    }
    if (const auto first = prompt.find("first_divergence");
        first != prompt.end() && first->is_object()) {
      if (const auto position = first->find("position");
          position != first->end() && position->is_number_integer()) {
        title += fmt::format(", from answer token {}", position->get<std::int64_t>());
      }
      const std::string was = text_at(*first, "reference_token");
      const std::string now = text_at(*first, "token");
      if (!was.empty() || !now.empty()) title += fmt::format(": '{}' became '{}'", was, now);
      if (const auto margin = first->find("margin");
          margin != first->end() && margin->is_number()) {
        title += fmt::format(", margin {}", format_number(margin->get<double>()));
      }
    }
    paragraph(2, "", title);
    answer("reference: ", prompt, "reference_text");
    answer("now:       ", prompt, "text");
  }

  void answer(std::string_view lead, const Json& prompt, const char* key) {
    if (!prompt.contains(key) || !prompt[key].is_string()) return;
    const std::string text = prompt[key].get<std::string>();
    paragraph(4, lead, text.empty() ? "(empty)" : text);
  }

  void tables() {
    for (const Table& table : report_.tables) {
      std::vector<std::size_t> widths;
      for (const std::string& column : table.columns) widths.push_back(display_width(column));
      for (const auto& row : table.rows) {
        for (std::size_t i = 0; i < row.size(); ++i)
          widths[i] = std::max(widths[i], display_width(printable(row[i])));
      }
      line(painted(printable(table.title), Colour::Bold, options_));
      const auto put = [&](const std::vector<std::string>& cells) {
        std::string text = " ";
        for (std::size_t i = 0; i < cells.size(); ++i) {
          const std::string cell = printable(cells[i]);
          text += ' ' + (i + 1 < cells.size() ? padded(cell, widths[i] + 1) : cell);
        }
        line(text);
      };
      put(table.columns);
      for (const auto& row : table.rows) put(row);
      line("");
    }
  }

  void contributions() {
    const std::vector<std::string> chart = contribution_chart(report_);
    if (chart.empty()) return;
    line(painted(kChartTitle, Colour::Bold, options_));
    for (const std::string& bar : chart) line("  " + bar);
    line("");
  }

  void run() {
    if (!report_.run || !report_.run->is_object() || report_.run->empty()) return;
    line(painted("run", Colour::Bold, options_));
    for (const auto& [key, value] : report_.run->items()) {
      const std::string text = value.is_number_float()
                                   ? format_number(value.get<double>())
                                   : value.dump(-1, ' ', false, Json::error_handler_t::replace);
      paragraph(2, printable(key) + ": ", text);
    }
    line("");
  }

  void summary() {
    const auto count = [&](Status status) {
      return std::count_if(report_.checks.begin(), report_.checks.end(),
                           [&](const Check& check) { return check.status == status; });
    };
    const std::pair<Status, std::string_view> words[] = {{Status::Fail, "failed"},
                                                         {Status::Warn, "warned"},
                                                         {Status::Inconclusive, "inconclusive"},
                                                         {Status::Pass, "passed"},
                                                         {Status::Skipped, "skipped"}};
    std::vector<std::string> parts;
    for (const auto& [status, word] : words) {
      if (const auto n = count(status); n > 0) parts.push_back(fmt::format("{} {}", n, word));
    }
    if (!parts.empty()) {
      line(fmt::format("{} check{}: {}", report_.checks.size(),
                       report_.checks.size() == 1 ? "" : "s", fmt::join(parts, ", ")));
    }
    const Verdict verdict = report_.verdict();
    if (verdict == Verdict::Fail && count(Status::Fail) == 0)
      line("warnings fail (--fail-on warn)");
    if (verdict == Verdict::Inconclusive && report_.exit_code() != ExitCode::Inconclusive) {
      line(fmt::format("exit code {} (--inconclusive)", static_cast<int>(report_.exit_code())));
    }
    explanation();
    const Colour colour = verdict == Verdict::Pass           ? Colour::Green
                          : verdict == Verdict::Inconclusive ? Colour::Yellow
                                                             : Colour::Red;
    line(painted(fmt::format("verdict: {}", name_of(verdict)), colour, options_));
  }

  // Names the check that decides, because most readers look up one.
  void explanation() {
    for (const Status status : {Status::Fail, Status::Inconclusive, Status::Warn}) {
      const auto found =
          std::find_if(report_.checks.begin(), report_.checks.end(), [&](const Check& check) {
            return check.status == status && (status != Status::Inconclusive || check.required);
          });
      if (found == report_.checks.end()) continue;
      return line(fmt::format("what it means: loraproof explain {}", printable(found->id)));
    }
  }

  const Report& report_;
  const WriterOptions& options_;
  std::string out_;
};

}  // namespace

std::string write_text(const Report& report, const WriterOptions& options) {
  return TextWriter(report, options).write();
}

}  // namespace loraproof::report
