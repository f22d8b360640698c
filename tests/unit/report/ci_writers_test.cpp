// SPDX-License-Identifier: Apache-2.0
// The writers that CI servers read: junit, markdown, github.
#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>

#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/report/writers/github.h"
#include "loraproof/report/writers/junit.h"
#include "loraproof/report/writers/markdown.h"
#include "support/catch.h"
#include "unit/report/sample_reports.h"

namespace loraproof::report {
namespace {

std::size_t count_of(const std::string& text, std::string_view piece) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(piece, at)) != text.npos; at += piece.size()) ++count;
  return count;
}

bool has(const std::string& text, std::string_view piece) { return count_of(text, piece) > 0; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

Check finding(std::string id, std::string subject, Status status = Status::Fail) {
  return {.id = std::move(id),
          .subject = std::move(subject),
          .status = status,
          .required = true,
          .message = "found",
          .hint = "do"};
}

Report hostile() { return test::sample_reports().back().report; }

}  // namespace

TEST_CASE("the writers for CI write the approved files byte for byte") {
  for (const std::string_view format : {"junit", "markdown", "github"}) {
    for (const auto& [name, report] : test::sample_reports()) {
      const std::string file = test::approved_file(name, format);
      INFO(file);
      CHECK(writer_named(format).write(report, {}) ==
            read_text_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) / "golden" / "reports" /
                           file));
    }
  }
}

TEST_CASE("junit says failure, skipped and error where the report does") {
  Report report;
  report.command = "validate";
  report.checks = {finding("a.fail", "x"), finding("a.open", "", Status::Inconclusive),
                   finding("a.warn", "", Status::Warn), finding("a.pass", "", Status::Pass),
                   finding("a.skip", "", Status::Skipped)};
  std::string text = write_junit(report, {});
  CHECK(has(text, R"(tests="5" failures="1" errors="0" time="0" skipped="2")"));
  CHECK(has(text, R"(<failure type="a.fail" message="found">found)"));
  CHECK(has(text, R"(<skipped message="inconclusive: found"/>)"));
  CHECK(has(text, R"(<skipped message="skipped: found"/>)"));
  CHECK(has(text, "<system-out>warning: found"));

  SECTION("what the flags make the gate fail on is a failure") {
    report.gate = {.fail_on = FailOn::Warn, .inconclusive = InconclusiveExit::Fail};
    text = write_junit(report, {});
    CHECK(has(text, R"(failures="3" errors="0" time="0" skipped="1")"));
    report.checks[1].required = false;
    CHECK(has(write_junit(report, {}), R"(failures="2" errors="0" time="0" skipped="2")"));
  }
  SECTION("an error is a case of its own beside the checks") {
    report.error = ReportError{.kind = ErrorKind::Input, .detail = {.message = "cut", .file = "f"}};
    text = write_junit(report, {});
    CHECK(has(text, R"(tests="6" failures="1" errors="1")"));
    CHECK(has(text, "<error type=\"input\" message=\"cut\">cut\nfile: f</error>"));
  }
}

TEST_CASE("junit names are unique whatever the subjects") {
  Report report;
  report.checks = {finding("a.b", "x"), finding("a.b", "x"), finding("a.b [x] #2", ""),
                   finding("a.b", "x")};
  const std::string text = write_junit(report, {});
  CHECK(has(text, "name=\"a.b [x]\""));
  CHECK(has(text, "name=\"a.b [x] #2\""));
  CHECK(has(text, "name=\"a.b [x] #3\""));
  CHECK(has(text, "name=\"a.b [x] #2 #2\""));
}

TEST_CASE("junit of hostile strings holds no character that XML forbids") {
  const std::string text = write_junit(hostile(), {});
  for (const char c : text) CHECK((c == '\n' || static_cast<unsigned char>(c) >= 0x20));
  CHECK_FALSE(has(text, "\xEF\xBF\xBE"));
  CHECK_FALSE(has(text, "\xEF\xBF\xBF"));
  CHECK_FALSE(has(text, "]]>"));
  CHECK_FALSE(has(text, "<script>"));
}

TEST_CASE("markdown of hostile strings neither formats nor mentions nor leaves its place") {
  const std::string text = write_markdown(hostile(), {});
  CHECK_FALSE(has(text, "<script>"));
  CHECK_FALSE(has(text, "**b**"));
  CHECK_FALSE(has(text, "@admin #1"));
  CHECK(has(text, "@&#8203;admin &#35;&#8203;1 &#91;x&#93;(http:&#8203;//evil.test)"));
  CHECK_FALSE(has(text, "```"));
  CHECK(count_of(text, "</details>") == count_of(text, "<details>"));
  CHECK(count_of(text, "</pre>") == count_of(text, "<pre>"));
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with("| warn")) CHECK(std::ranges::count(line, '|') == 9);
  }
}

TEST_CASE("markdown keeps the lines of an answer and says when one is empty") {
  Report report;
  report.prompts = Json::array(
      {{{"id", "p"}, {"diverged", true}, {"reference_text", "one\n\ntwo"}, {"text", ""}}});
  const std::string text = write_markdown(report, {});
  CHECK(has(text, "reference:\n\n<pre>\none\n\ntwo\n</pre>\n"));
  CHECK(has(text, "now:\n\n(empty)\n"));
}

TEST_CASE("markdown fits into a comment whatever the report, and says what it left out") {
  Report report;
  const std::string name(300, '|');
  for (int i = 0; i < 500; ++i) {
    report.checks.push_back(finding("a.many", name + std::to_string(i)));
    report.checks.push_back(finding("a.id" + std::to_string(i), name));
    report.checks.push_back(finding("a.pass", name, Status::Pass));
    report.prompts.push_back({{"id", name}, {"diverged", true}, {"text", std::string(9000, '@')}});
  }
  report.inputs.assign(500, {"base", name, ""});
  const std::string text = write_markdown(report, {});
  CHECK(text.size() < 65536);
  CHECK(has(text, " more of <code>a.many</code>"));
  CHECK(has(text, " other checks."));
  CHECK(has(text, "(7000 bytes more)"));
  CHECK(count_of(text, "</details>") == count_of(text, "<details>"));
}

TEST_CASE("markdown shows ten findings of one id") {
  Report report;
  for (int i = 0; i < 12; ++i) report.checks.push_back(finding("a.many", std::to_string(i)));
  const std::string text = write_markdown(report, {});
  CHECK(count_of(text, "| fail | ") == 10);
  CHECK(has(text, "Not shown: 2 more of <code>a.many</code>."));
  CHECK(has(text, "`loraproof explain a.many`"));
}

TEST_CASE("github writes nothing but commands, one a line") {
  for (const auto& [name, report] : test::sample_reports()) {
    INFO(name);
    for (const std::string& line : lines_of(write_github(report, {}))) {
      INFO(line);
      const bool is_command = line.starts_with("::error title=") ||
                              line.starts_with("::warning title=") ||
                              line.starts_with("::notice title=");
      CHECK(is_command);
    }
  }
}

TEST_CASE("github escapes values and properties as the runner reads them") {
  Report report;
  report.inputs = {{"adapter", "a,b:c%", ""}};
  report.checks = {finding("landing.shape", "x:y,z")};
  report.checks[0].message = "50% of\nit: a, b";
  const std::string text = write_github(report, {});
  CHECK(
      has(text, "::error title=landing.shape [x%3Ay%2Cz],file=a%2Cb%3Ac%25/adapter_config.json::"));
  CHECK(has(text, "::50%25 of\\nit: a, b%0Ahint: do%0Amore: loraproof explain landing.shape\n"));
}

TEST_CASE("github attaches findings to the file they are about") {
  Report report;
  report.inputs = {{"base", "m", ""}, {"adapter", "ad/", ""}, {"golden", "g/p.jsonl", ""}};
  report.checks = {finding("effect.scale", ""), finding("golden.text", ""),
                   finding("identity.base", "")};
  CHECK(has(write_github(report, {}), "title=effect.scale,file=ad/adapter_config.json::"));
  CHECK(has(write_github(report, {}), "title=golden.text,file=g/p.jsonl::"));
  CHECK(has(write_github(report, {}), "title=identity.base::"));
  report.inputs[2].path = "g";
  CHECK(has(write_github(report, {}), "title=golden.text,file=g/suite.yaml::"));
  report.inputs.clear();
  CHECK(has(write_github(report, {}), "title=golden.text::"));
}

TEST_CASE("github groups findings by id and keeps to ten annotations of a kind") {
  Report report;
  for (int i = 0; i < 14; ++i) {
    report.checks.push_back(finding("a.warn" + std::to_string(i), "", Status::Warn));
    report.checks.push_back(finding("a.fail" + std::to_string(i), ""));
  }
  for (int i = 0; i < 8; ++i) report.checks.push_back(finding("a.fail0", std::to_string(i)));
  const std::string text = write_github(report, {});
  CHECK(count_of(text, "::error ") == 10);
  CHECK(count_of(text, "::warning ") == 10);
  CHECK(count_of(text, "::notice ") == 1);
  CHECK(has(text, "::error title=a.fail0%3A 9 findings::"));
  CHECK(has(text, "%0Aand 4 more%0A"));
  CHECK(has(text, "::error title=5 more::a.fail9%0Aa.fail10%0Aa.fail11%0Aa.fail12%0Aa.fail13\n"));
}

TEST_CASE("github puts what the flags fail on among the errors, and required ones first") {
  Report report;
  report.checks = {finding("a.warn", "", Status::Warn),
                   finding("a.open", "", Status::Inconclusive)};
  CHECK(write_github(report, {}).starts_with("::warning title=inconclusive%3A a.open::"));
  report.gate = {.fail_on = FailOn::Warn, .inconclusive = InconclusiveExit::Fail};
  const std::string text = write_github(report, {});
  CHECK(count_of(text, "::error ") == 2);
  CHECK(has(text, "verdict: fail"));
}

}  // namespace loraproof::report
