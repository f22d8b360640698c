// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/writers/markdown.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/report/writers/chart.h"
#include "loraproof/report/writers/layout.h"
#include "loraproof/report/writers/parts.h"

namespace loraproof::report {
namespace {

// What the sections may fill the document to, in bytes; the limit of GitHub counts characters.
constexpr std::size_t kInputsBudget = 6000;
constexpr std::size_t kFindingsBudget = 30000;
constexpr std::size_t kPromptsBudget = 48000;
constexpr std::size_t kRestBudget = 60000;
constexpr std::size_t kRowsPerId = 10;
constexpr std::size_t kMaxLeftOut = 10;  // ids of checks named as left out
constexpr std::size_t kMaxTextBytes = 2000;

/// At most kMaxTextBytes, cut between characters.
std::string shortened(std::string_view text) {
  if (text.size() <= kMaxTextBytes) return std::string(text);
  std::size_t end = kMaxTextBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return fmt::format("{}... ({} bytes more)", text.substr(0, end), text.size() - end);
}

bool is_alphanumeric(std::string_view text, std::size_t at) {
  return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
}

/// Every character that means something to Markdown or HTML as an entity. An underscore inside a
/// word means nothing, and names are full of them.
std::string escaped(std::string_view text) {
  static constexpr std::string_view kMeaningful = "&<>|`*_[]\\~#$";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool in_word =
        text[i] == '_' && i > 0 && is_alphanumeric(text, i - 1) && is_alphanumeric(text, i + 1);
    if (in_word || kMeaningful.find(text[i]) == std::string_view::npos) {
      out += text[i];
    } else {
      out += fmt::format("&#{};", static_cast<int>(text[i]));
    }
  }
  return out;
}

/// Names, paths and ids: GitHub looks for mentions and links everywhere but in code.
std::string code(std::string_view text) {
  return "<code>" + escaped(printable(shortened(text))) + "</code>";
}

/// Sentences. A zero-width space keeps "@name" from being a mention, "#1" from being a reference
/// and "http://" from being a link.
std::string prose(std::string_view text) {
  std::string out;
  const std::string safe = escaped(printable(shortened(text)));
  for (std::size_t i = 0; i < safe.size(); ++i) {
    out += safe[i];
    const bool reference = safe[i] == '@' || (safe[i] == ':' && safe.compare(i, 3, "://") == 0) ||
                           (safe[i] == ';' && i >= 4 && safe.compare(i - 4, 5, "&#35;") == 0);
    if (reference) out += "&#8203;";
  }
  return out;
}

/// An answer with its line ends, which nothing in it can leave.
std::string preformatted(std::string_view text) {
  if (text.empty()) return "(empty)\n";
  const std::string kept = shortened(text);
  std::string out = "<pre>\n";
  for (std::string_view rest = kept;;) {
    const std::size_t end = rest.find('\n');
    out += escaped(printable(rest.substr(0, end))) + '\n';
    if (end == rest.npos) break;
    rest.remove_prefix(end + 1);
  }
  return out + "</pre>\n";
}

std::string row_of(const Check& check, bool with_status) {
  std::string row = "| ";
  if (with_status) {
    row += name_of(check.status);
    if (check.status == Status::Inconclusive && check.required) row += " (required)";
    row += " | ";
  }
  row += code(check.id) + " | " + (check.subject.empty() ? "" : code(check.subject)) + " | ";
  for (const std::string& figure :
       {value_figure(check), limit_figure(check), interval_figure(check),
        check.n ? std::to_string(*check.n) : std::string()}) {
    row += figure + " | ";
  }
  row += prose(check.message);
  if (check.smallest_effect) {
    row += fmt::format("<br>smallest effect seen: {}", smallest_effect_figure(check));
  }
  if (with_status && !check.hint.empty()) row += "<br>hint: " + prose(check.hint);
  return row + " |\n";
}

class MarkdownWriter {
 public:
  explicit MarkdownWriter(const Report& report) : report_(report) {}

  std::string write() {
    heading();
    if (report_.error) error();
    findings();
    tables();
    contributions();
    prompts();
    folded_checks("passed", [](const Check& check) {
      return check.status == Status::Pass && check.severity != Severity::Info;
    });
    folded_checks("reported only", [](const Check& check) {
      return check.status == Status::Pass && check.severity == Severity::Info;
    });
    folded_checks("skipped", [](const Check& check) { return check.status == Status::Skipped; });
    run();
    return std::move(out_);
  }

 private:
  /// Adds a piece unless the document would then pass `budget`; returns whether it did.
  bool add_within(std::size_t budget, const std::string& piece) {
    if (out_.size() + piece.size() > budget) return false;
    out_ += piece;
    return true;
  }

  void heading() {
    out_ +=
        fmt::format("## loraproof {}: {}\n\n", prose(report_.command), name_of(report_.verdict()));
    if (!report_.error || !report_.checks.empty()) out_ += count_line(report_) + "\\\n";
    if (const std::string note = verdict_note(report_); !note.empty()) out_ += note + "\\\n";
    out_ += fmt::format("loraproof {}", prose(report_.tool.version));
    for (const std::string& part :
         {report_.tool.device, report_.tool.compute,
          report_.tool.libtorch.empty() ? "" : "libtorch " + report_.tool.libtorch}) {
      if (!part.empty()) out_ += ", " + prose(part);
    }
    out_ += "\n\n";
    for (const ReportInput& input : report_.inputs) {
      std::string item = fmt::format("- {}: {}", prose(input.role), code(input.path));
      // Twelve hex digits tell two inputs apart; the JSON report has the whole digest.
      if (!input.sha256.empty()) item += " " + code(input.sha256.substr(0, 7 + 12));
      if (!add_within(kInputsBudget, item + '\n')) break;
    }
    if (!report_.inputs.empty()) out_ += '\n';
  }

  void error() {
    out_ += "**error:** " + prose(report_.error->detail.message) + "\n\n";
    for (const std::string& line : error_lines(report_.error->detail)) {
      out_ += "- " + prose(line) + '\n';
    }
    out_ += '\n';
  }

  void findings() {
    std::vector<CheckGroup> groups;
    for (const auto keep : {+[](const Check& check) { return check.status == Status::Fail; },
                            +[](const Check& check) { return check.status == Status::Warn; },
                            +[](const Check& c) { return c.status == Status::Inconclusive; }}) {
      for (CheckGroup& group : grouped_checks(report_, keep)) groups.push_back(std::move(group));
    }
    if (groups.empty()) return;
    out_ +=
        "| status | check | subject | value | limit | interval | n | found |\n"
        "|---|---|---|---|---|---|---|---|\n";
    std::vector<std::string> left_out;
    for (const CheckGroup& group : groups) {
      std::size_t shown = 0;
      while (shown < std::min(group.size(), kRowsPerId) &&
             add_within(kFindingsBudget, row_of(*group[shown], true))) {
        ++shown;
      }
      if (shown < group.size()) {
        left_out.push_back(
            fmt::format("{} more of {}", group.size() - shown, code(group.front()->id)));
      }
    }
    out_ += '\n';
    not_shown(std::move(left_out));
    out_ += fmt::format(
        "`loraproof explain {}` says what a check means and how to change its limit.\n\n",
        groups.size() == 1 ? escaped(printable(groups.front().front()->id)) : "ID");
  }

  void contributions() {
    const std::vector<std::string> chart = contribution_chart(report_);
    if (chart.empty()) return;
    add_within(kPromptsBudget,
               fmt::format("{}:\n\n{}\n", kChartTitle,
                           preformatted(fmt::format("{}", fmt::join(chart, "\n")))));
  }

  /// A few by name, the rest as a number.
  void not_shown(std::vector<std::string> names) {
    if (names.empty()) return;
    if (names.size() > kMaxLeftOut) {
      const std::size_t rest = names.size() - kMaxLeftOut;
      names.resize(kMaxLeftOut);
      names.push_back(fmt::format("those of {} other checks", rest));
    }
    out_ += fmt::format("Not shown: {}.\n\n", fmt::join(names, ", "));
  }

  static std::string prompt_text(const Divergence& each) {
    std::string out = code(each.id);
    if (!each.adapter.empty()) out += " (" + prose(each.adapter) + ")";
    if (!each.from.empty()) out += ", " + prose(each.from);
    out += "\n\n";
    if (each.before) out += "reference:\n\n" + preformatted(*each.before) + '\n';
    if (each.now) out += "now:\n\n" + preformatted(*each.now) + '\n';
    return out;
  }

  void prompts() {
    const std::vector<Divergence> all = divergences(report_);
    if (all.empty()) return;
    out_ += fmt::format("<details><summary>prompts whose answer differs ({} of {})</summary>\n\n",
                        all.size(), report_.prompts.size());
    std::size_t shown = 0;
    while (shown < all.size() && add_within(kPromptsBudget, prompt_text(all[shown]))) ++shown;
    if (shown < all.size()) out_ += fmt::format("Not shown: {} more.\n\n", all.size() - shown);
    out_ += "</details>\n\n";
  }

  void tables() {
    for (const Table& table : report_.tables) {
      std::string text = fmt::format("<details><summary>{}</summary>\n\n", prose(table.title));
      const auto put = [&](const std::vector<std::string>& cells) {
        for (const std::string& cell : cells) text += "| " + prose(cell) + ' ';
        text += "|\n";
      };
      put(table.columns);
      for (std::size_t i = 0; i < table.columns.size(); ++i) text += "|---";
      text += "|\n";
      for (const auto& row : table.rows) put(row);
      add_within(kRestBudget, text + "\n</details>\n\n");
    }
  }

  void folded_checks(std::string_view title, bool (*keep)(const Check&)) {
    const auto count = std::ranges::count_if(report_.checks, keep);
    if (count == 0) return;
    out_ += fmt::format(
        "<details><summary>{} {}</summary>\n\n"
        "| check | subject | value | limit | interval | n | found |\n"
        "|---|---|---|---|---|---|---|\n",
        count, title);
    std::ptrdiff_t shown = 0;
    for (const Check& check : report_.checks) {
      if (!keep(check)) continue;
      if (!add_within(kRestBudget, row_of(check, false))) break;
      ++shown;
    }
    out_ += '\n';
    if (shown < count) out_ += fmt::format("Not shown: {} more.\n\n", count - shown);
    out_ += "</details>\n\n";
  }

  void run() {
    if (!report_.run || !report_.run->is_object() || report_.run->empty()) return;
    std::string text = "<details><summary>run</summary>\n\n";
    for (const auto& [key, value] : report_.run->items()) {
      text += fmt::format("- {}: {}\n", prose(key),
                          prose(value.dump(-1, ' ', false, Json::error_handler_t::replace)));
    }
    add_within(kRestBudget, text + "\n</details>\n\n");
  }

  const Report& report_;
  std::string out_;
};

}  // namespace

std::string write_markdown(const Report& report, const WriterOptions&) {
  std::string text = MarkdownWriter(report).write();
  text.pop_back();  // the blank line after the last section
  return text;
}

}  // namespace loraproof::report
