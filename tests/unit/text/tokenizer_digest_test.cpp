// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/tokenizer_digest.h"

#include <filesystem>

#include "loraproof/core/digest.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "support/catch.h"

namespace loraproof::text {
namespace {

using Digests = std::map<std::string, std::string>;

Json file_of(const char* name) {
  return read_json_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) / "tests/fixtures/tokenizers" /
                        name);
}

Digests digests(const Json& file) { return tokenizer_field_digests(file.dump(), "t.json"); }

// Keys whose digests differ, or that only one side has.
std::vector<std::string> changed(const Json& before, const Json& after) {
  const Digests a = digests(before);
  const Digests b = digests(after);
  std::vector<std::string> out;
  for (const auto& [key, value] : a) {
    if (!b.contains(key) || b.at(key) != value) out.push_back(key);
  }
  for (const auto& [key, value] : b) {
    if (!a.contains(key)) out.push_back(key);
  }
  return out;
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("a changed field is named") {
  const Json file = file_of("llama3.json");
  const auto with = [&](const char* pointer, const Json& value) {
    Json edited = file;
    edited[Json::json_pointer(pointer)] = value;
    return changed(file, edited);
  };
  CHECK(with("/normalizer", Json::parse(R"({"type":"NFC"})")) == Keys{"/normalizer"});
  CHECK(with("/pre_tokenizer/pretokenizers/0/invert", true) == Keys{"/pre_tokenizer"});
  CHECK(with("/post_processor", nullptr) == Keys{"/post_processor"});
  CHECK(with("/decoder", nullptr) == Keys{"/decoder"});
  CHECK(with("/model/ignore_merges", false) == Keys{"/model/ignore_merges"});
  CHECK(with("/model/vocab/the", 100000) == Keys{"/model/vocab"});
  CHECK(with("/model/merges/3", Json::array({"t", "he"})) == Keys{"/model/merges"});
  CHECK(with("/added_tokens/1/rstrip", true) == Keys{"/added_tokens/<|endoftext|>"});
  CHECK(with("/added_tokens/1/content", "a/b~c") ==
        Keys{"/added_tokens/<|endoftext|>", "/added_tokens/a~1b~0c"});
}

TEST_CASE("what does not change ids changes no digest") {
  const Json file = file_of("qwen2.json");
  Json edited = nlohmann::json::parse(file.dump());  // sorted keys
  edited["truncation"] = {{"max_length", 8}};
  edited["padding"] = {{"pad_id", 0}};
  edited["post_processor"]["trim_offsets"] = false;
  edited["model"].erase("ignore_merges");
  edited["model"].erase("unk_token");
  edited["model"]["end_of_word_suffix"] = "";
  edited["model"]["dropout"] = 0.0;
  for (Json& merge : edited["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  CHECK(changed(file, edited).empty());
}

TEST_CASE("merges that join to the same text are told apart") {
  Json file = file_of("gpt2.json");
  file["model"]["merges"] = Json::parse(R"([["ab","c"]])");
  Json other = file;
  other["model"]["merges"] = Json::parse(R"([["a","bc"]])");
  CHECK(changed(file, other) == Keys{"/model/merges"});
}

TEST_CASE("digests of small fields are those of the canonical text") {
  const Digests found = digests(file_of("gpt2.json"));
  CHECK(found.at("/normalizer") == sha256_of("null"));
  CHECK(found.at("/model/type") == sha256_of("\"BPE\""));
  CHECK(found.at("/decoder") ==
        sha256_of(R"({"add_prefix_space":false,"type":"ByteLevel","use_regex":true})"));
}

TEST_CASE("other model types have digests too") {
  const Json file =
      Json::parse(R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["a",-1.5],["b",-2.0]]}})");
  const Digests found = digests(file);
  CHECK(found.at("/model/vocab") == sha256_of(R"([["a",-1.5],["b",-2.0]])"));
  CHECK(found.contains("/model/unk_id"));
}

TEST_CASE("a file without a model is refused") {
  CHECK_THROWS_AS(tokenizer_field_digests("{}", "t.json"), Error);
  CHECK_THROWS_AS(tokenizer_field_digests(std::filesystem::path("/nonexistent.json")), Error);
}

}  // namespace loraproof::text
