// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/match.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "support/catch.h"

namespace loraproof::golden {
namespace {

bool meets(MatchKind kind, const std::string& expected, const std::string& answer) {
  return Expectation(kind, expected, "prompts.jsonl", "/expected").met_by(answer);
}

std::string complaint(MatchKind kind, const std::string& expected) {
  try {
    (void)Expectation(kind, expected, "prompts.jsonl", "/expected");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("names of kinds go both ways") {
  for (const char* name : {"exact", "normalized", "json", "contains", "regex"})
    CHECK(name_of(*match_kind_of(name)) == name);
  CHECK_FALSE(match_kind_of("Exact"));
}

TEST_CASE("exact is to the byte") {
  CHECK(meets(MatchKind::Exact, "a b", "a b"));
  CHECK_FALSE(meets(MatchKind::Exact, "a b", "a b "));
  CHECK_FALSE(meets(MatchKind::Exact, "a", "A"));
}

TEST_CASE("normalized folds case, white space and composed characters, nothing else") {
  CHECK(meets(MatchKind::Normalized, "Straße  12", "\n straße 12 "));
  CHECK(meets(MatchKind::Normalized, "caf\u00e9", "CAFE\u0301"));
  CHECK(meets(MatchKind::Normalized, "a b", "a\u00a0b"));
  CHECK_FALSE(meets(MatchKind::Normalized, "ab", "a b"));
  CHECK_FALSE(meets(MatchKind::Normalized, "a.", "a"));
  CHECK_FALSE(meets(MatchKind::Normalized, "a", "a\xff"));  // half a character is not nothing
}

TEST_CASE("json compares values, not spelling") {
  const std::string order = R"({"item": "tea", "n": 2})";
  CHECK(meets(MatchKind::Json, order, R"({"n":2,"item":"tea"})"));
  CHECK(meets(MatchKind::Json, order, " {\"item\":\"t\\u0065a\",\"n\":2.0}\n"));
  CHECK_FALSE(meets(MatchKind::Json, order, R"({"item": "tea", "n": "2"})"));
  CHECK_FALSE(meets(MatchKind::Json, order, R"({"item": "tea", "n": 2, "x": null})"));
  CHECK_FALSE(meets(MatchKind::Json, order, R"({"item": "tea"})"));
  CHECK_FALSE(meets(MatchKind::Json, order, R"({"item": "tea", "n": 2)"));
  CHECK_FALSE(meets(MatchKind::Json, order, "```json\n{\"item\": \"tea\", \"n\": 2}\n```"));
  CHECK_FALSE(meets(MatchKind::Json, "[1, 2]", "[2, 1]"));
  CHECK(meets(MatchKind::Json, "[{\"a\": [1]}]", "[{\"a\":[1e0]}]"));
  CHECK_FALSE(
      meets(MatchKind::Json, "{\"a\": 1}", "{\"a\": 1, \"a\": 1}"));  // refused as ambiguous
}

TEST_CASE("contains and regex look anywhere") {
  CHECK(meets(MatchKind::Contains, "42", "It is 42."));
  CHECK_FALSE(meets(MatchKind::Contains, "42", "It is 4 2."));
  CHECK(meets(MatchKind::Regex, "\\b4\\d\\b", "It is 42."));
  CHECK(meets(MatchKind::Regex, "^yes", "yes, sir"));
  CHECK_FALSE(meets(MatchKind::Regex, "^yes$", "yes, sir"));
  CHECK(meets(MatchKind::Regex, "(?i)YES", "well, yes"));
}

TEST_CASE("an expectation that can't be met by anything is refused when it is read") {
  CHECK(complaint(MatchKind::Json, "{").find("not one JSON document") != std::string::npos);
  CHECK(complaint(MatchKind::Json, "{").find("/expected") != std::string::npos);
  CHECK(complaint(MatchKind::Regex, "(").find("does not compile") != std::string::npos);
}

// What PCRE2 writes during a match was shared by copies once: answers came out wrong, or it
// crashed.
TEST_CASE("copies of a regex expectation answer from several threads at once") {
  const Expectation expectation(MatchKind::Regex, "^(?:(a+)(b*))+c$", "prompts.jsonl", "/expected");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id) {
    threads.emplace_back([copy = expectation, id, &wrong] {
      std::string right;  // of another length in each thread
      for (int i = 0; i < 60 * (id + 1); ++i) right += "ab";
      for (int i = 0; i < 500; ++i) {
        if (!copy.met_by(right + "c")) ++wrong;
        if (copy.met_by("b" + right)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("a pattern that backtracks without end is an error, not a hang") {
  const Expectation expectation(MatchKind::Regex, "(a+)+$", "prompts.jsonl", "/expected");
  CHECK_THROWS_AS(expectation.met_by(std::string(40, 'a') + "b"), Error);
}

}  // namespace loraproof::golden
