// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/writers/table.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "loraproof/core/error.h"
#include "loraproof/core/suggest.h"
#include "loraproof/report/writers/github.h"
#include "loraproof/report/writers/json.h"
#include "loraproof/report/writers/junit.h"
#include "loraproof/report/writers/markdown.h"
#include "loraproof/report/writers/text.h"

namespace loraproof::report {
namespace {

constexpr WriterRow kWriters[] = {
    {"text", "for people: findings first, then the figures", write_text},
    {"json", "for programs: schema loraproof.report/1", write_json},
    {"markdown", "for comments on pull requests and step summaries", write_markdown},
    {"junit", "for CI servers: JUnit XML, one test case a check", write_junit},
    {"github", "for GitHub Actions: annotations, and the step summary", write_github},
};

}  // namespace

std::span<const WriterRow> writers() { return kWriters; }

std::vector<std::string> writer_names() {
  std::vector<std::string> names;
  for (const WriterRow& row : kWriters) names.emplace_back(row.name);
  return names;
}

const WriterRow& writer_named(std::string_view name) {
  const auto* row = std::find_if(std::begin(kWriters), std::end(kWriters),
                                 [&](const WriterRow& each) { return each.name == name; });
  if (row != std::end(kWriters)) return *row;
  const std::vector<std::string> names = writer_names();
  const std::string nearest = nearest_name(name, names);
  throw usage_error({.message = "unknown report format",
                     .expected = fmt::format("one of {}", fmt::join(names, ", ")),
                     .found = std::string(name),
                     .hint = nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest)});
}

}  // namespace loraproof::report
