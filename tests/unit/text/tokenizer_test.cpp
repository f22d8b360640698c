// SPDX-License-Identifier: Apache-2.0
// Ids and decoded texts against golden/values/tokenizer, which tests/oracles/tokenizer_golden.py
// wrote with Hugging Face `tokenizers` for the files in tests/fixtures/tokenizers.
#include "loraproof/text/tokenizer.h"

#include <filesystem>
#include <fmt/format.h>
#include <sstream>
#include <thread>

#include "loraproof/core/digest.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "support/catch.h"

namespace loraproof::text {
namespace {

const std::filesystem::path kSource = LORAPROOF_SOURCE_DIR;
const std::filesystem::path kFixtures = kSource / "tests/fixtures/tokenizers";
const std::filesystem::path kGolden = kSource / "golden/values/tokenizer";
using Ids = std::vector<std::int32_t>;

Tokenizer fixture(const std::string& name) {
  return Tokenizer::from_file(kFixtures / (name + ".json"));
}

std::string digest_of_ids(const Ids& ids) {
  return sha256_of(fmt::format("{}", fmt::join(ids, ",")));
}

// cache: the words of the records before, so that both ways of encoding are seen.
void check_record(const Tokenizer& tokenizer, WordCache& cache, const Json& record,
                  const Json& texts) {
  const Json& stored = record.at("text");
  const auto text = stored.is_string() ? stored.get<std::string>()
                                       : texts.at(stored.get<std::size_t>()).get<std::string>();
  CAPTURE(text);
  const auto ids = record.at("ids").get<Ids>();
  REQUIRE(tokenizer.encode(text, false) == ids);
  Ids cached;
  tokenizer.encode(text, cache, cached);
  REQUIRE(cached == ids);
  if (record.contains("special"))
    REQUIRE(tokenizer.encode(text, true) == record["special"].get<Ids>());
  REQUIRE(tokenizer.decode(ids, false) ==
          (record.contains("decoded") ? record["decoded"].get<std::string>() : text));
  REQUIRE(tokenizer.decode(ids, true) ==
          (record.contains("skipped") ? record["skipped"].get<std::string>() : text));
}

void check_line(const Tokenizer& tokenizer, WordCache& cache, const Json& record,
                const Json& texts) {
  if (record.contains("text")) return check_record(tokenizer, cache, record, texts);
  if (record.contains("repeat")) {
    std::string text;
    for (std::size_t i = 0; i < record["repeat"][1].get<std::size_t>(); ++i)
      text += record["repeat"][0].get<std::string>();
    const Ids ids = tokenizer.encode(text, false);
    CAPTURE(record["repeat"][0]);
    REQUIRE(ids.size() == record["count"].get<std::size_t>());
    REQUIRE(digest_of_ids(ids) == record["sha256"].get<std::string>());
    return;
  }
  const auto ids = record.at("decode").get<Ids>();
  CAPTURE(ids);
  REQUIRE(tokenizer.decode(ids, false) == record["decoded"].get<std::string>());
  REQUIRE(tokenizer.decode(ids, true) == record["skipped"].get<std::string>());
}

void check_head(const Tokenizer& tokenizer, const Json& head) {
  REQUIRE(tokenizer.vocab_size() == head.at("vocab_size").get<std::int64_t>());
  for (const Json& added : head.at("added")) {
    const auto id = added["id"].get<std::int32_t>();
    CAPTURE(added.dump());
    REQUIRE(tokenizer.id_to_token(id) == added["content"].get<std::string>());
    REQUIRE(tokenizer.token_to_id(added["content"].get<std::string>()) == id);
    REQUIRE(tokenizer.is_special(id) == added["special"].get<bool>());
  }
}

}  // namespace

TEST_CASE("every fixture gives the ids and texts of tokenizers") {
  const Json texts = read_json_file(kGolden / "texts.json");
  REQUIRE(texts.size() == 250);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFixtures)) {
    const std::string name = entry.path().stem().string();
    CAPTURE(name);
    const Tokenizer tokenizer = Tokenizer::from_file(entry.path());
    std::istringstream lines(read_text_file(kGolden / (name + ".jsonl")));
    std::string line;
    REQUIRE(std::getline(lines, line));
    check_head(tokenizer, parse_json(line, name));
    int count = 0;
    WordCache cache;
    for (; std::getline(lines, line); ++count)
      check_line(tokenizer, cache, parse_json(line, name), texts);
    REQUIRE(count >= 300);
    ++files;
  }
  REQUIRE(files == 20);
}

TEST_CASE("a second encode of the same words gives the same ids") {
  // The first one fills the table of words that merge into one id.
  for (const char* name : {"gpt2", "llama3", "llama2", "yi_across_spaces"}) {
    const Tokenizer tokenizer = fixture(name);
    const Tokenizer fresh = fixture(name);
    const std::string text = "the bridge the bridge the engineer's the";
    const Ids first = tokenizer.encode(text, true);
    CHECK(tokenizer.encode(text, true) == first);
    CHECK(fresh.encode(text, true) == first);
  }
}

TEST_CASE("several threads may encode with one tokenizer") {
  const Tokenizer tokenizer = fixture("smollm2");
  const std::string text = "The committee met on 14 March 2021 to decide.";
  const Ids expected = fixture("smollm2").encode(text, false);
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) count += tokenizer.encode(text, false) == expected ? 0 : 1;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST_CASE("text that is not UTF-8 is refused with its offset") {
  const Tokenizer tokenizer = fixture("gpt2");
  for (const std::string bad :
       {"abc\xff", "abc\xc3", "abc\xed\xa0\x80", "abc\xc0\x80", "abc\xf4\x90\x80\x80"}) {
    try {
      (void)tokenizer.encode(bad, false);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::Input);
      CHECK(error.detail().message == "the text is not valid UTF-8");
      CHECK(error.detail().where == "byte 3");
    }
  }
}

TEST_CASE("ids and tokens that do not exist") {
  const Tokenizer tokenizer = fixture("gpt2");
  CHECK_FALSE(tokenizer.id_to_token(-1).has_value());
  CHECK_FALSE(tokenizer.id_to_token(1 << 30).has_value());
  CHECK_FALSE(tokenizer.token_to_id("no such token").has_value());
  CHECK_FALSE(tokenizer.is_special(-1));
  CHECK(tokenizer.decode(Ids{-1, 1 << 30}, false).empty());
}

}  // namespace loraproof::text
