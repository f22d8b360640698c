// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/jsonl.h"

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using loraproof::Error;
using loraproof::ErrorKind;
using loraproof::Json;
using loraproof::io::for_each_json_line;
using loraproof::io::JsonLinesLimits;
using loraproof::test::TempDir;

namespace {

using Lines = std::vector<std::pair<std::int64_t, std::string>>;

Lines read(const std::string& content, JsonLinesLimits limits = {}) {
  const TempDir folder;
  const auto path = folder.write("x.jsonl", content);
  Lines lines;
  const auto count = for_each_json_line(
      path, [&](const Json& value, std::int64_t line) { lines.emplace_back(line, value.dump()); },
      limits);
  CHECK(count == static_cast<std::int64_t>(lines.size()));
  return lines;
}

std::string refusal(const std::string& content, JsonLinesLimits limits = {}) {
  try {
    read(content, limits);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    CHECK(error.detail().file.ends_with("x.jsonl"));
    return error.detail().where + " | " + error.what();
  }
  return "accepted";
}

void check_contains(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("jsonl: values come with their line numbers") {
  CHECK(read("{\"a\":1}\n2\n\"x\"\n") == Lines{{1, "{\"a\":1}"}, {2, "2"}, {3, "\"x\""}});
  CHECK(read("").empty());
  CHECK(read("\n \t\r\n\n").empty());
  CHECK(read("1\r\n\r\n  \n 2 \r\n3") == Lines{{1, "1"}, {4, "2"}, {5, "3"}});
  CHECK(read("\xEF\xBB\xBF{}\n{}") == Lines{{1, "{}"}, {2, "{}"}});
  CHECK(read("\xEF\xBB\xBF\n1") == Lines{{2, "1"}});
  CHECK(read("\"\xE2\x80\xA8\"\n") == Lines{{1, "\"\xE2\x80\xA8\""}});  // U+2028 ends no line
}

TEST_CASE("jsonl: lines that cross the read buffer are whole") {
  std::string content;
  for (int i = 0; i < 5; ++i)
    content += "\"" + std::string(150000, static_cast<char>('a' + i)) + "\"\n";
  const Lines lines = read(content);
  REQUIRE(lines.size() == 5);
  for (int i = 0; i < 5; ++i) {
    CHECK(lines[static_cast<std::size_t>(i)].first == i + 1);
    CHECK(lines[static_cast<std::size_t>(i)].second ==
          "\"" + std::string(150000, static_cast<char>('a' + i)) + "\"");
  }
}

TEST_CASE("jsonl: a bad line is named by its number in the file") {
  check_contains(refusal("{}\n\n{\"a\":}\n"), "line 3, column 6 | ");
  check_contains(refusal("{}\n\n{\"a\":}\n"), "not valid JSON");
  check_contains(refusal("{}\n{\"a\":1,\"a\":2}\n"), "line 2 | ");
  check_contains(refusal("{}\n{\"a\":1,\"a\":2}\n"), "duplicate key \"a\"");
  check_contains(refusal("1\n\"\xff\"\n"), "line 2, column");
  check_contains(refusal("1 2\n"), "line 1, column 3 | ");
  check_contains(refusal("{\n\"a\": 1}\n"), "line 1, column");
  check_contains(refusal("\xFF\xFE{\x00}\x00"), "line 1 | ");
  check_contains(refusal("\xFF\xFE{"), "text is UTF-16: expected UTF-8; save the file as UTF-8");
  check_contains(refusal("1\n" + std::string(200, '[') + std::string(200, ']')),
                 "line 2: JSON is nested too deeply: expected at most 128 levels");
  check_contains(refusal(std::string("1\n2\0 x\n", 7)),
                 "line 2, column 2: not valid JSON: NUL byte");
}

TEST_CASE("jsonl: a line over the limit is refused, one at the limit is not") {
  const JsonLinesLimits limits{.max_line_bytes = 10};
  CHECK(read("1\n\"12345678\"\n", limits).size() == 2);
  check_contains(refusal("1\n\"123456789\"\n", limits),
                 "line 2: line is too long: expected at most 10 bytes; JSON Lines has one value");
  check_contains(refusal("1\n" + std::string(1 << 20, ' '), limits), "line 2: line is too long");
}

TEST_CASE("jsonl: what the callback throws passes through") {
  const TempDir folder;
  const auto path = folder.write("x.jsonl", "1\n2\n3\n");
  int calls = 0;
  CHECK_THROWS_AS(for_each_json_line(path,
                                     [&](const Json&, std::int64_t line) {
                                       ++calls;
                                       if (line == 2) throw std::runtime_error("stop");
                                     }),
                  std::runtime_error);
  CHECK(calls == 2);
}

TEST_CASE("jsonl: a file that cannot be read is named") {
  const TempDir folder;
  for (const auto& [path, message] :
       {std::pair{folder.path() / "absent",
                  "cannot open: No such file or directory; check the path"},
        {folder.path(), "is a folder: expected a JSON Lines file"}}) {
    try {
      for_each_json_line(path, [](const Json&, std::int64_t) {});
      FAIL("no error");
    } catch (const Error& error) {
      check_contains(error.what(), path.string() + ": " + message);
    }
  }
}
