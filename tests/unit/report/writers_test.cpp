// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <limits>
#include <string>

#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/report/writers/json.h"
#include "loraproof/report/writers/table.h"
#include "loraproof/report/writers/text.h"
#include "support/catch.h"
#include "unit/report/sample_reports.h"

namespace loraproof::report {
namespace {

std::string approved(std::string_view name, std::string_view extension) {
  return read_text_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) / "golden" / "reports" /
                        (std::string(name) + "." + std::string(extension)));
}

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys;
}

}  // namespace

TEST_CASE("the text writer writes the approved files byte for byte") {
  for (const auto& [name, report] : test::sample_reports()) {
    INFO(name);
    CHECK(write_text(report, {}) == approved(name, "txt"));
  }
}

TEST_CASE("the json writer writes the approved files byte for byte") {
  for (const auto& [name, report] : test::sample_reports()) {
    INFO(name);
    CHECK(write_json(report, {}) == approved(name, "json"));
  }
}

TEST_CASE("the last line of the text is the verdict and nothing else") {
  const std::string_view verdicts[] = {"pass", "fail", "inconclusive", "error", "fail"};
  const auto samples = test::sample_reports();
  REQUIRE(samples.size() == std::size(verdicts));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CHECK(ends_with(write_text(samples[i].report, {}),
                    "\nverdict: " + std::string(verdicts[i]) + "\n"));
  }
}

TEST_CASE("strings from files can't forge a line or move the cursor in the text") {
  const auto samples = test::sample_reports();
  const std::string text = write_text(samples.back().report, {});
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("\nverdict: pass") == std::string::npos);
  CHECK(text.find("\xE2\x80\xAE") == std::string::npos);
  CHECK(text.find("w\\nverdict: pass") != std::string::npos);
  CHECK(text.find("dir\\xff/\\x1b[2Jname") != std::string::npos);
}

TEST_CASE("colours come only when asked, and change nothing else") {
  for (const auto& [name, report] : test::sample_reports()) {
    const std::string plain = write_text(report, {});
    CHECK(plain.find('\x1b') == std::string::npos);
    std::string coloured = write_text(report, {.colour = true});
    CHECK(coloured.find("\x1b[") != std::string::npos);
    for (std::size_t at; (at = coloured.find('\x1b')) != std::string::npos;) {
      coloured.erase(at, coloured.find('m', at) + 1 - at);
    }
    CHECK(coloured == plain);
  }
}

TEST_CASE("a narrow width wraps words but cuts none") {
  const auto squeezed = [](std::string text) {
    std::string out;
    for (char c : text) {
      if (c != ' ' && c != '\n') out += c;
    }
    return out;
  };
  for (const auto& [name, report] : test::sample_reports()) {
    CHECK(squeezed(write_text(report, {.width = 20})) == squeezed(write_text(report, {})));
    CHECK(write_text(report, {.width = 0}).size() > 0);
  }
}

TEST_CASE("prompts of another form than the schema's don't break the text") {
  Report report;
  report.prompts =
      Json::array({"no object",
                   nullptr,
                   {{"diverged", "yes"}},
                   {{"id", 3},
                    {"diverged", true},
                    {"text", 5},
                    {"first_divergence", {{"position", "five"}, {"margin", nullptr}}}}});
  CHECK(write_text(report, {}).find("prompts whose answer differs (1 of 4)") != std::string::npos);
  report.prompts = "none";
  CHECK(write_text(report, {}).find("prompts") == std::string::npos);
}

TEST_CASE("numbers that differ never read as equal") {
  Report report;
  report.checks = {{.id = "a.b",
                    .status = Status::Fail,
                    .value = 0.99999996,
                    .limit = Limit{.min = 0.99999997},
                    .message = "m"}};
  const std::string text = write_text(report, {});
  CHECK(text.find("value 0.99999996, min 0.99999997") != std::string::npos);
}

TEST_CASE("json keys come in the schema's order") {
  const auto samples = test::sample_reports();
  CHECK(keys_of(to_json(samples[0].report)) ==
        std::vector<std::string>{"schema", "tool", "command", "verdict", "exit_code", "inputs",
                                 "checks", "prompts", "metrics", "run"});
  CHECK(keys_of(to_json(samples[1].report)["checks"][0]) ==
        std::vector<std::string>{"id", "subject", "status", "severity", "value", "limit",
                                 "interval", "n", "smallest_effect", "message", "hint",
                                 "required"});
  CHECK(keys_of(to_json(samples[3].report)).back() == "error");
}

TEST_CASE("json numbers read back the same, and non-finite ones are null") {
  Report report;
  report.metrics = {{"tenth", 0.1},
                    {"tiny", std::numeric_limits<double>::denorm_min()},
                    {"huge", std::numeric_limits<double>::max()},
                    {"third", 1.0 / 3.0},
                    {"nan", std::numeric_limits<double>::quiet_NaN()}};
  report.checks = {{.id = "a.b", .value = -INFINITY, .message = "m"}};
  const Json read = parse_json(write_json(report, {}), "report");
  for (const char* key : {"tenth", "tiny", "huge", "third"}) {
    CHECK(read["metrics"][key].get<double>() == report.metrics[key].get<double>());
  }
  CHECK(read["metrics"]["nan"].is_null());
  CHECK(read["checks"][0]["value"].is_null());
}

TEST_CASE("bytes that aren't UTF-8 become U+FFFD in json") {
  Report report;
  report.inputs = {{"base", "a\xff", ""}};
  const Json read = parse_json(write_json(report, {}), "report");
  CHECK(read["inputs"][0]["path"] == "a\xEF\xBF\xBD");
}

TEST_CASE("a format is found by name, and an unknown one names the nearest") {
  CHECK(writer_names() == std::vector<std::string>{"text", "json", "markdown", "junit", "github"});
  CHECK(writer_named("json").write == &write_json);
  try {
    (void)writer_named("jsn");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Usage);
    CHECK(std::string(error.what()) ==
          "unknown report format: expected one of text, json, markdown, junit, github, found "
          "jsn; did you mean 'json'?");
  }
  CHECK_THROWS_AS(writer_named(""), Error);
}

}  // namespace loraproof::report
