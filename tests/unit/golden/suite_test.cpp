// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/suite.h"

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace loraproof;

namespace {

constexpr const char* kYaml =
    "version: 1\nname: s\nmax_new_tokens: 5\nstop: ['<end>']\nstop_ids: [2, 3]\nlimits:\n  "
    "golden.text: {min: 0.5}\n";
constexpr const char* kPrompts =
    "{\"id\": \"a\", \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"expected\": "
    "\"yo\", \"slice\": \"x\"}\n"
    "\n{\"id\": \"b\", \"prompt\": \"text\"}\r\n{\"id\": 3, \"ids\": [1, 2]}\n";

// What reading this suite complains about.
std::string complaint(const std::string& yaml, const std::string& prompts) {
  const test::TempDir folder;
  folder.write("suite.yaml", yaml);
  folder.write("prompts.jsonl", prompts);
  try {
    (void)golden::read_suite(folder.path());
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    CHECK_FALSE(error.detail().file.empty());
    return error.what();
  }
  return "accepted";
}

bool holds(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return true;
}

}  // namespace

TEST_CASE("a suite is read with its settings and the three forms of prompts") {
  const test::TempDir folder;
  folder.write("suite.yaml", kYaml);
  folder.write("prompts.jsonl", kPrompts);
  const auto suite = golden::read_suite(folder.path());
  CHECK(suite.name == "s");
  CHECK(suite.max_new_tokens == 5);
  CHECK(suite.stop_tokens == std::vector<std::string>{"<end>"});
  CHECK(suite.stop_ids == std::vector<std::int32_t>{2, 3});
  CHECK(suite.limits["golden.text"]["min"] == 0.5);
  REQUIRE(suite.prompts.size() == 3);
  CHECK(suite.prompts[0].messages.size() == 1);
  CHECK(suite.prompts[0].expected->text() == "yo");
  CHECK(suite.prompts[0].expected->kind() == golden::MatchKind::Exact);
  CHECK(suite.against == golden::Against::Same);
  CHECK(suite.prompts[1].prompt == "text");
  CHECK(suite.prompts[2].id == "3");
  CHECK(suite.prompts[2].ids == std::vector<std::int32_t>{1, 2});
}

TEST_CASE("a bare prompts file works, in a folder or by itself, and the digest is of the prompts") {
  const test::TempDir folder;
  const auto file = folder.write("prompts.jsonl", kPrompts);
  const auto bare = golden::read_suite(file);
  CHECK(bare.prompts.size() == 3);
  CHECK(bare.digest == golden::read_suite(folder.path()).digest);
  folder.write("prompts.jsonl", "{\"id\": \"a\", \"prompt\": \"other\"}\n");
  CHECK(bare.digest != golden::read_suite(folder.path()).digest);
}

TEST_CASE("the question, the default match and slices with limits are read") {
  const test::TempDir folder;
  folder.write(
      "suite.yaml",
      "version: 1\nagainst: revision\nmatch: json\nslices:\n  x: {golden.text: {min: 0.5}}\n");
  folder.write(
      "prompts.jsonl",
      "{\"id\": \"a\", \"prompt\": \"p\", \"expected\": \"{}\", \"slice\": \"x\"}\n"
      "{\"id\": \"b\", \"prompt\": \"p\", \"expected\": \"yes\", \"match\": \"contains\"}\n");
  const auto suite = golden::read_suite(folder.path());
  CHECK(suite.against == golden::Against::Revision);
  CHECK(suite.prompts[0].expected->kind() == golden::MatchKind::Json);
  CHECK(suite.prompts[1].expected->kind() == golden::MatchKind::Contains);
  REQUIRE(suite.slices.size() == 1);
  CHECK(suite.slices[0].name == "x");
  CHECK(suite.slices[0].limits["golden.text"]["min"] == 0.5);
}

TEST_CASE("mistakes in a suite name file, place and what would be right") {
  const std::string ok = "{\"id\": \"a\", \"prompt\": \"x\"}\n";
  holds(complaint("version: 2\n", ok), "/version");
  holds(complaint("name: x\n", ok), "/version");
  holds(complaint("version: 1\nmax_new_token: 3\n", ok), "did you mean 'max_new_tokens'");
  holds(complaint("version: 1\nmax_new_tokens: 0\n", ok), "/max_new_tokens");
  holds(complaint("version: 1\nagainst: other\n", ok), "/against");
  holds(complaint("version: 1\nmatch: fuzzy\n", ok), "/match");
  holds(complaint("version: 1\nslices: []\n", ok), "/slices");
  holds(complaint("version: 1\nslices: {long: {}}\n", ok), "/slices/long");
  holds(complaint("version: 1\nstop: [3]\n", ok), "/stop");
  holds(complaint("version: 1\nstop_ids: [-1]\n", ok), "/stop_ids");
  holds(complaint("version: 1\nprompts: other.jsonl\n", ok), "other.jsonl");
  holds(complaint("version: [\n", ok), "YAML");
  holds(complaint("version: 1\n", ""), "no prompts");
  holds(complaint("version: 1\n", ok + ok), "line 2");
  holds(complaint("version: 1\n", ok + "{\"id\": \"b\"}\n"), "exactly one form");
  holds(complaint("version: 1\n", "{\"id\": \"b\", \"prompt\": \"x\", \"ids\": [1]}\n"),
        "exactly one form");
  holds(complaint("version: 1\n", "{\"prompt\": \"x\"}\n"), "/id");
  holds(complaint("version: 1\n", "{\"id\": \"b\", \"prompt\": 3}\n"), "/prompt");
  holds(complaint("version: 1\n", "{\"id\": \"b\", \"ids\": []}\n"), "/ids");
  holds(complaint("version: 1\n", "{\"id\": \"b\", \"ids\": [99999999999]}\n"), "/ids");
  holds(complaint("version: 1\n", "{\"id\": \"b\", \"messages\": [{\"content\": \"x\"}]}\n"),
        "/messages");
  holds(complaint("version: 1\n", "{\"id\": \"b\", \"promt\": \"x\"}\n"), "did you mean 'prompt'");
  const auto expecting = [](const std::string& rest) {
    return "{\"id\": \"b\", \"prompt\": \"x\", " + rest + "}\n";
  };
  holds(complaint("version: 1\n", expecting("\"match\": \"json\"")), "nothing to match");
  holds(complaint("version: 1\n", expecting("\"expected\": \"{\", \"match\": \"json\"")),
        "/expected");
  holds(complaint("version: 1\nmatch: regex\n", expecting("\"expected\": \"(\"")), "/expected");
  holds(complaint("version: 1\n", "{\"id\": \"b\", "), "line 1");
}

TEST_CASE("a folder that is no suite says what one is") {
  const test::TempDir folder;
  CHECK_THROWS_AS(golden::read_suite(folder.path()), Error);
}
