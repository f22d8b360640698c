// SPDX-License-Identifier: Apache-2.0
// Any bytes as a golden suite: what stands before a line of equals signs is suite.yaml, the rest is
// prompts.jsonl. Without such a line the bytes are a bare prompts file.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "loraproof/golden/suite.h"

namespace {

namespace fs = std::filesystem;
using loraproof::fuzz::fuzz_check;
using loraproof::golden::Expectation;
using loraproof::golden::GoldenPrompt;
using loraproof::golden::Suite;

constexpr std::string_view kBorder = "\n=====\n";

/// One folder per process, removed at its end.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "loraproof-fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void put(const fs::path& file, std::string_view text) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream) std::abort();
}

constexpr std::string_view kAnswers[] = {"", "{\"item\":\"tea\",\"n\":2}",
                                         "two teas, caf\u00e9 \xF0\x9F\x8D\xB5"};

/// An expectation meets itself where it is an answer; any answer is judged or refused with an
/// error.
void check(const Expectation& expected) {
  if (expected.is_answer()) fuzz_check(expected.met_by(expected.text()), "an answer meets itself");
  for (const std::string_view answer : kAnswers) {
    loraproof::fuzz::only_input_errors([&] { (void)expected.met_by(answer); });
  }
}

void check(const Suite& suite) {
  fuzz_check(!suite.prompts.empty(), "a suite has prompts");
  fuzz_check(suite.max_new_tokens >= 1, "answers have at least a token");
  fuzz_check(!suite.digest.empty(), "a suite has a digest");
  std::set<std::string> ids;
  for (const GoldenPrompt& prompt : suite.prompts) {
    fuzz_check(ids.insert(prompt.id).second, "ids are unique");
    const int forms = !prompt.messages.is_null() + prompt.prompt.has_value() + !prompt.ids.empty();
    fuzz_check(forms == 1, "a prompt has one form");
    for (const auto id : prompt.ids) fuzz_check(id >= 0, "token ids are not negative");
    if (prompt.expected) check(*prompt.expected);
  }
  for (const auto& slice : suite.slices) {
    fuzz_check(std::ranges::count(suite.prompts, slice.name, &GoldenPrompt::slice) > 0,
               "a slice with limits has prompts");
  }
  for (const auto id : suite.stop_ids) fuzz_check(id >= 0, "stop ids are not negative");
}

std::string suite_of(std::string_view yaml, std::string_view prompts) {
  return std::string(yaml).append(kBorder).append(prompts);
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  constexpr std::string_view kPrompts =
      "{\"id\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"two teas\"}],"
      "\"expected\":\"{}\",\"slice\":\"tea\",\"match\":\"exact\"}\n"
      "{\"id\":7,\"prompt\":\"x\"}\n{\"id\":\"c\",\"ids\":[1,2,3]}\n";
  return {
      .seeds = {std::string(kPrompts), suite_of("version: 1", kPrompts),
                suite_of("version: 1\nname: orders\nprompts: prompts.jsonl\nagainst: same\n"
                         "max_new_tokens: 48\nstop: [\"</s>\", \"\\n\"]\nstop_ids: [2, 5]\n"
                         "match: exact\nlimits:\n  golden.text: {min: 0.9, severity: warn}\n",
                         kPrompts),
                suite_of("version: 1\nagainst: revision\nmatch: json\nslices:\n"
                         "  tea: {golden.text: {min: 0.5}}\n",
                         kPrompts),
                suite_of(
                    "version: 1\nmatch: regex\n",
                    "{\"id\":\"r\",\"prompt\":\"x\",\"expected\":\"t(w|e)o? .*[a-z]{2,4}$\"}\n"
                    "{\"id\":\"n\",\"prompt\":\"x\",\"expected\":\" Caf\\u00e9 \","
                    "\"match\":\"normalized\"}\n"
                    "{\"id\":\"c\",\"ids\":[0],\"expected\":\"tea\",\"match\":\"contains\"}\n")},
      .dictionary = {kBorder.data(),
                     "\"id\":",
                     "\"messages\":",
                     "\"prompt\":",
                     "\"ids\":",
                     "\"expected\":",
                     "\"slice\":",
                     "\"match\":",
                     "\"role\":",
                     "\"content\":",
                     "version: 1",
                     "stop_ids: ",
                     "stop: ",
                     "slices: ",
                     "match: ",
                     "against: ",
                     "limits: ",
                     "revision",
                     "regex",
                     "normalized",
                     "contains",
                     "json",
                     "prompts: ",
                     "max_new_tokens: ",
                     "-1",
                     "2147483648",
                     "[",
                     "]",
                     "{",
                     "}",
                     "null",
                     "\n  ",
                     "&a ",
                     "*a",
                     "\xff"}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  const std::string_view text = loraproof::fuzz::as_text(data, size);
  const std::size_t border = text.find(kBorder);
  const fs::path yaml = folder.path() / "suite.yaml";
  if (border == text.npos) {
    fs::remove(yaml);
    put(folder.path() / "prompts.jsonl", text);
  } else {
    put(yaml, text.substr(0, border + 1));
    put(folder.path() / "prompts.jsonl", text.substr(border + kBorder.size()));
  }
  loraproof::fuzz::only_input_errors([&] { check(loraproof::golden::read_suite(folder.path())); });
  return 0;
}
