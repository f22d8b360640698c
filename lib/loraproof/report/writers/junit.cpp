// SPDX-License-Identifier: Apache-2.0
// As junit-10.xsd of Jenkins' xUnit plugin has it, which GitLab and pytest's consumers accept too.
#include "loraproof/report/writers/junit.h"

#include <fmt/format.h>
#include <map>
#include <utility>

#include "loraproof/report/writers/layout.h"
#include "loraproof/report/writers/parts.h"

namespace loraproof::report {
namespace {

/// Printable text with markup characters as entities. XML 1.0 also forbids U+FFFE and U+FFFF, which
/// are no control characters.
std::string xml(std::string_view text) {
  std::string out;
  const std::string safe = printable(text);
  for (std::size_t i = 0; i < safe.size(); ++i) {
    switch (safe[i]) {
      case '&': out += "&amp;"; continue;
      case '<': out += "&lt;"; continue;
      case '>': out += "&gt;"; continue;
      case '"': out += "&quot;"; continue;
      case '\'': out += "&apos;"; continue;
      default: break;
    }
    if (safe.compare(i, 2, "\xEF\xBF") == 0 && i + 2 < safe.size() &&
        (safe[i + 2] & 0x3E) == 0x3E) {
      out += (safe[i + 2] & 1) == 0 ? "\\ufffe" : "\\uffff";
      i += 2;
    } else {
      out += safe[i];
    }
  }
  return out;
}

enum class Result { Passed, Failed, Skipped };

struct Case {
  std::string name;
  Result result = Result::Passed;
  const Check* check = nullptr;
};

std::vector<Case> cases_of(const Report& report) {
  std::vector<Case> cases;
  std::map<std::string, int> seen;
  for (const CheckGroup& group : grouped_checks(report, [](const Check&) { return true; })) {
    for (const Check* check : group) {
      std::string name = name_with_subject(*check);
      // A suffixed name can be another check's own name, so the suffix counts on until it is free.
      for (int nth = 2; !seen.try_emplace(name, nth).second; ++nth) {
        name = fmt::format("{} #{}", name_with_subject(*check), nth);
      }
      const bool open = check->status == Status::Skipped || check->status == Status::Inconclusive;
      const Result result = fails_gate(*check, report.gate) ? Result::Failed
                            : open                          ? Result::Skipped
                                                            : Result::Passed;
      cases.push_back({std::move(name), result, check});
    }
  }
  return cases;
}

/// Message, figures and hint, a line each.
std::string body(const Check& check) {
  std::string text = xml(check.message);
  if (const std::string figures = all_figures(check); !figures.empty()) text += '\n' + xml(figures);
  if (!check.hint.empty()) text += "\nhint: " + xml(check.hint);
  return text;
}

std::string properties(const Report& report) {
  std::string out = "    <properties>\n";
  const auto property = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    out += fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", xml(name), xml(value));
  };
  property("verdict", name_of(report.verdict()));
  property("exit_code", std::to_string(static_cast<int>(report.exit_code())));
  property("version", report.tool.version);
  property("libtorch", report.tool.libtorch);
  property("device", report.tool.device);
  property("compute", report.tool.compute);
  for (const ReportInput& input : report.inputs) {
    property("input." + input.role, input.path);
    property("input." + input.role + ".sha256", input.sha256);
  }
  return out + "    </properties>\n";
}

/// The family of an id is the class, as "loraproof.golden": reporters group by it.
std::string open_case(const Case& one) {
  const std::string& id = one.check->id;
  return fmt::format("    <testcase classname=\"loraproof.{}\" name=\"{}\" time=\"0\">",
                     xml(id.substr(0, id.find('.'))), xml(one.name));
}

std::string write_case(const Case& one) {
  const Check& check = *one.check;
  std::string out = open_case(one);
  if (one.result == Result::Failed) {
    out += fmt::format("\n      <failure type=\"{}\" message=\"{}\">{}</failure>", xml(check.id),
                       xml(check.message), body(check));
  } else if (one.result == Result::Skipped) {
    out += fmt::format("\n      <skipped message=\"{}: {}\"/>", name_of(check.status),
                       xml(check.message));
  }
  const bool needs_figures = one.result == Result::Skipped && check.status == Status::Inconclusive;
  if (check.status == Status::Warn) {
    out += fmt::format("\n      <system-out>warning: {}</system-out>", body(check));
  } else if (needs_figures || (one.result == Result::Passed && !all_figures(check).empty())) {
    out += fmt::format("\n      <system-out>{}</system-out>", body(check));
  }
  return out + "\n    </testcase>\n";
}

std::string write_error(const Report& report) {
  std::string text = xml(report.error->detail.message);
  for (const std::string& line : error_lines(report.error->detail)) text += '\n' + xml(line);
  const std::string_view kind = report.error->kind == ErrorKind::Usage   ? "usage"
                                : report.error->kind == ErrorKind::Input ? "input"
                                                                         : "internal";
  return fmt::format(
      "    <testcase classname=\"loraproof\" name=\"loraproof {0}\" time=\"0\">\n"
      "      <error type=\"{1}\" message=\"{2}\">{3}</error>\n"
      "    </testcase>\n",
      xml(report.command), kind, xml(report.error->detail.message), text);
}

}  // namespace

std::string write_junit(const Report& report, const WriterOptions&) {
  const std::vector<Case> cases = cases_of(report);
  std::size_t failures = 0;
  std::size_t skipped = 0;
  for (const Case& one : cases) {
    failures += one.result == Result::Failed ? 1 : 0;
    skipped += one.result == Result::Skipped ? 1 : 0;
  }
  const std::size_t errors = report.error ? 1 : 0;
  const std::string counts =
      fmt::format("name=\"loraproof {}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"0\"",
                  xml(report.command), cases.size() + errors, failures, errors);
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {0}>\n"
      "  <testsuite {0} skipped=\"{1}\">\n",
      counts, skipped);
  out += properties(report);
  if (report.error) out += write_error(report);
  for (const Case& one : cases) out += write_case(one);
  return out + "  </testsuite>\n</testsuites>\n";
}

}  // namespace loraproof::report
