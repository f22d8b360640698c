// SPDX-License-Identifier: Apache-2.0
// What Python's re does with the same patterns is tested in target_match_test.cpp.
#include "loraproof/adapter/regex.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.h"
#include "unit/adapter/support.h"

using namespace loraproof;
using adapter::PythonRegex;
using test::error_of;

namespace {
PythonRegex regex(std::string_view pattern) {
  return PythonRegex(pattern, {"config", "/target_modules"});
}
}  // namespace

TEST_CASE("a pattern that backtracks without end is an error, not a hang") {
  const PythonRegex hostile = regex("(a+)+$");
  const Error error = error_of([&] { (void)hostile.full_match(std::string(64, 'a') + "!"); });
  CHECK(error.kind() == ErrorKind::Input);
  CHECK(error.detail().where == "/target_modules");
  CHECK(error.detail().message.find("could not be matched") != std::string::npos);
  CHECK_FALSE(error.detail().hint.empty());
}

TEST_CASE("patterns that are too long or explode on compiling are errors") {
  CHECK(
      error_of([] { (void)regex(std::string(20000, 'a')); }).detail().message.find("longer than") !=
      std::string::npos);
  CHECK(error_of([] { (void)regex("((((a{60000}){60000}){60000}){60000})"); })
            .detail()
            .message.find("does not compile") != std::string::npos);
  CHECK(error_of([] { (void)regex(std::string(5000, '(') + std::string(5000, ')')); }).kind() ==
        ErrorKind::Input);
}

TEST_CASE("text that is not UTF-8 is an error") {
  CHECK(error_of([] { (void)regex(".*\xff"); }).kind() == ErrorKind::Input);
  const PythonRegex any = regex(".*");
  CHECK(error_of([&] { (void)any.full_match("a\xff"); }).kind() == ErrorKind::Input);
}

TEST_CASE("match_group gives the named group") {
  const PythonRegex layer = regex(".*?\\.[^.]*\\.(?P<idx>\\d+)\\.");
  CHECK(layer.match_group("model.layers.12.mlp", "idx") == "12");
  CHECK_FALSE(layer.match_group("lm_head", "idx"));
  CHECK(regex("a(?P<b>b)?").match_group("a", "b") == "");
}

TEST_CASE("one pattern answers several threads, each from its own text") {
  const PythonRegex layer = regex(".*?\\.[^.]*\\.(?P<idx>\\d+)\\.");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id) {
    threads.emplace_back([&layer, id, &wrong] {
      const std::string number(static_cast<std::size_t>(id + 1), static_cast<char>('1' + id));
      const std::string text = "model.layers." + number + ".mlp";
      for (int i = 0; i < 5000; ++i)
        if (layer.match_group(text, "idx") != number) ++wrong;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("the dollar sign matches before a last newline in match, as in Python") {
  CHECK(regex("(.*\\.)?(q_proj)$").match("a.q_proj\n"));
  CHECK_FALSE(regex("q_proj").full_match("q_proj\n"));
  CHECK_FALSE(regex("q_proj\\Z").match("q_proj\n"));
}
