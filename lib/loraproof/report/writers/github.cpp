// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/writers/github.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string_view>
#include <utility>
#include <vector>

#include "loraproof/report/writers/layout.h"
#include "loraproof/report/writers/parts.h"

namespace loraproof::report {
namespace {

// https://docs.github.com/actions: ten annotations of each kind per step are shown.
constexpr std::size_t kMaxAnnotations = 10;
// Of the findings of one id, as many are told in its annotation.
constexpr std::size_t kMaxFindings = 5;

struct Annotation {
  std::string title;
  std::string file;
  std::vector<std::string> lines;
};

/// As actions/toolkit command.ts escapes: a command is one line, and its properties are a list.
std::string escaped(std::string_view text, bool is_property) {
  std::string out;
  for (const char c : text) {
    const bool meaningful =
        c == '%' || c == '\r' || c == '\n' || (is_property && (c == ':' || c == ','));
    out += meaningful ? fmt::format("%{:02X}", static_cast<unsigned>(c)) : std::string(1, c);
  }
  return out;
}

std::string command(std::string_view kind, const Annotation& annotation) {
  std::string properties = "title=" + escaped(printable(annotation.title), true);
  if (!annotation.file.empty()) {
    properties += ",file=" + escaped(printable(annotation.file), true);
  }
  std::vector<std::string> lines;
  for (const std::string& line : annotation.lines) lines.push_back(printable(line));
  return fmt::format("::{} {}::{}\n", kind, properties,
                     escaped(fmt::format("{}", fmt::join(lines, "\n")), false));
}

/// The file that a finding of this id is about, by the role of the input that its family judges. A
/// base is seldom part of the repository, so what is said about it has none.
std::string file_of(const Report& report, std::string_view id) {
  struct Place {
    std::string_view prefix;
    std::string_view role;
    std::string_view file;  // in the input's folder
  };
  static constexpr Place kPlaces[] = {{"landing.", "adapter", "adapter_config.json"},
                                      {"effect.", "adapter", "adapter_config.json"},
                                      {"identity.adapter", "adapter", "adapter_config.json"},
                                      {"golden.", "golden", "suite.yaml"}};
  for (const Place& place : kPlaces) {
    if (!id.starts_with(place.prefix)) continue;
    const auto input = std::ranges::find(report.inputs, place.role, &ReportInput::role);
    if (input == report.inputs.end() || input->path.empty()) return "";
    const std::string& path = input->path;
    if (path.ends_with(".jsonl")) return path;  // a suite that is a bare prompts file
    return fmt::format("{}{}{}", path, path.ends_with('/') ? "" : "/", place.file);
  }
  return "";
}

Annotation annotation_of(const Report& report, const CheckGroup& group) {
  const Check& first = *group.front();
  const bool alone = group.size() == 1;
  Annotation annotation{.title = alone ? name_with_subject(first)
                                       : fmt::format("{}: {} findings", first.id, group.size()),
                        .file = file_of(report, first.id)};
  if (first.status == Status::Inconclusive) annotation.title = "inconclusive: " + annotation.title;
  std::vector<std::string> hints;
  for (std::size_t i = 0; i < std::min(group.size(), kMaxFindings); ++i) {
    const Check& check = *group[i];
    std::string line = check.message;
    if (!alone && !check.subject.empty()) line = check.subject + ": " + line;
    if (const std::string figures = all_figures(check); !figures.empty()) {
      line += fmt::format(" ({})", figures);
    }
    annotation.lines.push_back(std::move(line));
    if (!check.hint.empty() && std::ranges::count(hints, check.hint) == 0) {
      hints.push_back(check.hint);
    }
  }
  if (group.size() > kMaxFindings) {
    annotation.lines.push_back(fmt::format("and {} more", group.size() - kMaxFindings));
  }
  for (const std::string& hint : hints) annotation.lines.push_back("hint: " + hint);
  annotation.lines.push_back("more: loraproof explain " + first.id);
  return annotation;
}

/// The last place goes to the names of what finds none.
std::string commands(std::string_view kind, std::vector<Annotation> annotations) {
  if (annotations.size() > kMaxAnnotations) {
    Annotation rest{.title = fmt::format("{} more", annotations.size() - kMaxAnnotations + 1)};
    for (std::size_t i = kMaxAnnotations - 1; i < annotations.size(); ++i) {
      rest.lines.push_back(annotations[i].title);
    }
    annotations.resize(kMaxAnnotations - 1);
    annotations.push_back(std::move(rest));
  }
  std::string out;
  for (const Annotation& annotation : annotations) out += command(kind, annotation);
  return out;
}

/// The order in which annotations are shown: what failed, what could not be decided though it had
/// to be, what warned, the rest.
int importance(const Check& check) {
  switch (check.status) {
    case Status::Fail: return 0;
    case Status::Inconclusive: return check.required ? 1 : 3;
    default: return 2;
  }
}

std::vector<Annotation> annotations_of(const Report& report, bool failing) {
  std::vector<Annotation> annotations;
  for (int level = 0; level < 4; ++level) {
    const auto keep = [&](const Check& check) {
      const bool passed = check.status == Status::Pass || check.status == Status::Skipped;
      return !passed && importance(check) == level && fails_gate(check, report.gate) == failing;
    };
    for (const CheckGroup& group : grouped_checks(report, keep)) {
      annotations.push_back(annotation_of(report, group));
    }
  }
  return annotations;
}

}  // namespace

std::string write_github(const Report& report, const WriterOptions&) {
  std::vector<Annotation> errors = annotations_of(report, true);
  if (report.error) {
    const ErrorDetail& detail = report.error->detail;
    Annotation error{
        .title = "loraproof " + report.command, .file = detail.file, .lines = {detail.message}};
    for (std::string& line : error_lines(detail)) error.lines.push_back(std::move(line));
    errors.insert(errors.begin(), std::move(error));
  }
  Annotation verdict{.title = fmt::format("loraproof {}", report.command),
                     .lines = {fmt::format("verdict: {}", name_of(report.verdict()))}};
  if (!report.checks.empty()) verdict.lines.push_back(count_line(report));
  if (std::string note = verdict_note(report); !note.empty()) verdict.lines.push_back(note);
  return commands("error", std::move(errors)) + commands("warning", annotations_of(report, false)) +
         command("notice", verdict);
}

}  // namespace loraproof::report
