// SPDX-License-Identifier: Apache-2.0
// What is refused, and where the message points.
#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/text/tokenizer.h"
#include "support/catch.h"

namespace loraproof::text {
namespace {

// A tokeniser that merges "ab"; `edit` changes its JSON.
Json small() {
  return parse_json(
      R"({"version":"1.0","added_tokens":[{"id":4,"content":"<s>","single_word":false,"lstrip":false,
    "rstrip":false,"normalized":false,"special":true}],"normalizer":null,"pre_tokenizer":null,"post_processor":null,
    "decoder":null,"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,
    "end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,
    "vocab":{"a":0,"b":1,"ab":2,"c":3},"merges":[["a","b"]]}})",
      "small");
}

ErrorDetail refusal(const std::string& text) {
  try {
    (void)Tokenizer::from_json(text, "t.json");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    CHECK(error.detail().file == "t.json");
    return error.detail();
  }
  FAIL("accepted: " << text);
  return {};
}

struct Case {
  const char* pointer;  // where the value goes
  const char* value;
  const char* where;    // where the error says it is
  const char* message;  // a part of the message
};

const Case kCases[] = {
    {"/version", R"("2.0")", "/version", "unknown version"},
    {"/model/type", R"("Unigram")", "/model/type", "component is not supported"},
    {"/model/type", R"("WordPiece")", "/model/type", "component is not supported"},
    {"/model/dropout", "0.1", "/model/dropout", "dropout"},
    {"/model/unk_token", R"("<unk>")", "/model/unk_token",
     "unknown token is not in the vocabulary"},
    {"/model/continuing_subword_prefix", R"("##")", "/model/continuing_subword_prefix",
     "option is not supported"},
    {"/model/end_of_word_suffix", R"("</w>")", "/model/end_of_word_suffix",
     "option is not supported"},
    {"/model/new_option", "true", "/model/new_option", "option is not supported"},
    {"/model/fuse_unk", R"("yes")", "/model/fuse_unk", ""},
    {"/model/vocab", "[]", "/model/vocab", "vocabulary is missing"},
    {"/model/vocab", "{}", "/model/vocab", "vocabulary is empty"},
    {"/model/vocab/a", "-1", "/model/vocab", "id of token"},
    {"/model/vocab/a", "1.5", "/model/vocab", "id of token"},
    {"/model/vocab/a", "2097152", "/model/vocab", "id of token"},
    {"/model/vocab/a", R"("0")", "/model/vocab", "id of token"},
    {"/model/vocab/a", "{}", "/model/vocab", "id of token"},
    {"/model/vocab/a", "[0]", "/model/vocab", "id of token"},
    {"/model/vocab/a", "null", "/model/vocab", "id of token"},
    {"/model/vocab/a", "1", "/model/vocab", "stands twice"},
    {"/model/merges", "null", "/model/merges", "merges are missing"},
    {"/model/merges", R"(["ab"])", "/model/merges/0", "merge rule cannot be used"},
    {"/model/merges", R"(["a b", "a b c"])", "/model/merges/1", "merge rule cannot be used"},
    {"/model/merges", R"([" b"])", "/model/merges/0", "merge rule cannot be used"},
    {"/model/merges", R"([["a"]])", "/model/merges/0", "merge rule cannot be used"},
    {"/model/merges", R"([["a","b","c"]])", "/model/merges/1", "merge rule cannot be used"},
    {"/model/merges", R"([["","b"]])", "/model/merges/0", "merge rule cannot be used"},
    {"/model/merges", R"([["a",["b"]]])", "/model/merges/0", "merge rule cannot be used"},
    {"/model/merges", "[1]", "/model/merges/0", "merge rule cannot be used"},
    {"/model/merges", "[{}]", "/model/merges/0", "merge rule cannot be used"},
    {"/model/merges", R"([["a","x"]])", "/model/merges/0", "not in the vocabulary"},
    {"/model/merges", R"([["b","c"]])", "/model/merges/0", "not in the vocabulary"},
    {"/normalizer", R"({"type":"NFKC"})", "/normalizer/type", "component is not supported"},
    {"/normalizer", R"({"type":"Lowercase"})", "/normalizer/type", "component is not supported"},
    {"/normalizer", R"({"type":"NFC","extra":1})", "/normalizer/extra", "option is not supported"},
    {"/normalizer", R"({"type":"Sequence"})", "/normalizer/normalizers", "a list is needed"},
    {"/normalizer", R"({"type":"Sequence","normalizers":[{"type":"Strip"}]})",
     "/normalizer/normalizers/0/type", "component is not supported"},
    {"/normalizer", R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":"x"})",
     "/normalizer/pattern/Regex", "regular expression is not supported"},
    {"/normalizer", R"({"type":"Replace","pattern":{"String":""},"content":"x"})",
     "/normalizer/pattern/String", "pattern is empty"},
    {"/normalizer", R"("NFC")", "/normalizer", ""},
    {"/pre_tokenizer", R"({"type":"Whitespace"})", "/pre_tokenizer/type",
     "component is not supported"},
    {"/pre_tokenizer",
     R"({"type":"Split","pattern":{"Regex":"\\w+"},"behavior":"Isolated","invert":false})",
     "/pre_tokenizer/pattern/Regex", "regular expression is not supported"},
    {"/pre_tokenizer",
     R"({"type":"Split","pattern":{"String":" "},"behavior":"isolated","invert":false})",
     "/pre_tokenizer/behavior", "unknown value"},
    {"/pre_tokenizer", R"({"type":"Split","pattern":{"String":" "},"behavior":"Isolated"})",
     "/pre_tokenizer/invert", ""},
    {"/pre_tokenizer", R"({"type":"Metaspace","replacement":"__","prepend_scheme":"always"})",
     "/pre_tokenizer/replacement", "exactly one character"},
    {"/pre_tokenizer", R"({"type":"Metaspace","replacement":"_","prepend_scheme":"sometimes"})",
     "/pre_tokenizer/prepend_scheme", "unknown value"},
    {"/pre_tokenizer", R"({"type":"Metaspace","replacement":"_","add_prefix_space":false})",
     "/pre_tokenizer/add_prefix_space", "contradicts"},
    {"/pre_tokenizer",
     R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},
         {"type":"Metaspace","replacement":"_","prepend_scheme":"first"}]})",
     "/pre_tokenizer/type", "only as the first"},
    {"/pre_tokenizer",
     R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true,"new":1})",
     "/pre_tokenizer/new", "option is not supported"},
    {"/post_processor", R"({"type":"BertProcessing"})", "/post_processor/type",
     "component is not supported"},
    {"/post_processor",
     R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}}],
         "pair":[],"special_tokens":{}})",
     "/post_processor/single/0/SpecialToken/id", "does not define"},
    {"/post_processor",
     R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}}],
         "pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[-1],"tokens":["<s>"]}}})",
     "/post_processor/special_tokens/<s>/ids", "a token id cannot be used"},
    {"/post_processor",
     R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}}],
         "pair":[],"special_tokens":{"<s>":{"id":"<s>","tokens":["<s>"]}}})",
     "/post_processor/special_tokens/<s>/ids", "a list of ids is needed"},
    {"/post_processor",
     R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}],
         "pair":[],"special_tokens":{}})",
     "/post_processor/single/0/Sequence/id", "names another text"},
    {"/post_processor", R"({"type":"Sequence","processors":[
         {"type":"TemplateProcessing","single":[],"pair":[],"special_tokens":{}},
         {"type":"TemplateProcessing","single":[],"pair":[],"special_tokens":{}}]})",
     "/post_processor/processors/1/type", "second TemplateProcessing"},
    {"/pre_tokenizer",
     R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true},
         {"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true}]})",
     "/pre_tokenizer/pretokenizers/1/type", "second ByteLevel"},
    {"/post_processor",
     R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},
         {"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{}})",
     "/post_processor/single/1/Sequence/id", "twice"},
    {"/decoder", R"({"type":"WordPiece"})", "/decoder/type", "component is not supported"},
    {"/decoder", R"({"type":"Strip","content":" ","start":-1,"stop":0})", "/decoder/start",
     "cannot be negative"},
    {"/decoder", R"({"type":"Strip","content":"","start":1,"stop":0})", "/decoder/content",
     "exactly one character"},
    {"/decoder", R"({"type":"Metaspace","replacement":"_","prepend_scheme":"x"})",
     "/decoder/prepend_scheme", "unknown value"},
    {"/decoder", R"({"type":"Metaspace","replacement":"_","add_prefix_space":false})",
     "/decoder/add_prefix_space", "contradicts"},
    {"/decoder", R"({"type":"Replace","pattern":{"Regex":"x"},"content":""})",
     "/decoder/pattern/Regex", "not supported"},
    {"/added_tokens", R"({"a":1})", "/added_tokens", "a list is needed"},
    {"/added_tokens/0/content", "5", "/added_tokens/0/content", ""},
    {"/added_tokens/0/normalized", "null", "/added_tokens/0/normalized", ""},
    {"/added_tokens/0/new", "true", "/added_tokens/0/new", "option is not supported"},
    {"/model", "[]", "/model", ""},
};

}  // namespace

TEST_CASE("the small tokenizer itself is accepted") {
  const auto tokenizer = Tokenizer::from_json(small().dump(), "t.json");
  CHECK(tokenizer.encode("abc<s>x", false) == std::vector<std::int32_t>{2, 3, 4});
}

TEST_CASE("what is malformed or not supported is refused by name") {
  for (const Case& c : kCases) {
    Json file = small();
    file[Json::json_pointer(c.pointer)] = Json::parse(c.value);
    CAPTURE(c.pointer, c.value);
    const ErrorDetail detail = refusal(file.dump());
    CHECK(detail.where == c.where);
    CHECK(detail.message.find(c.message) != std::string::npos);
  }
}

TEST_CASE("Metaspace first behind a normalizer that moves text is refused") {
  Json file = small();
  file["normalizer"] = Json::parse(R"({"type":"Prepend","prepend":"_"})");
  file["pre_tokenizer"] =
      Json::parse(R"({"type":"Metaspace","replacement":"_","prepend_scheme":"first"})");
  CHECK(refusal(file.dump()).where == "/pre_tokenizer/type");
}

TEST_CASE("two added tokens that are searched by the same text are refused") {
  Json file = small();
  Json token = file["added_tokens"][0];
  token["normalized"] = true;
  token["content"] = "\u00e9";
  file["added_tokens"].push_back(token);
  token["content"] = "e\u0301";
  file["added_tokens"].push_back(token);
  file["normalizer"] = Json::parse(R"({"type":"NFC"})");
  CHECK(refusal(file.dump()).where == "/added_tokens");
}

TEST_CASE("more steps than are needed are refused") {
  Json file = small();
  Json list = Json::array();
  for (int i = 0; i < 9; ++i)
    list.push_back(Json::parse(R"({"type":"Digits","individual_digits":true})"));
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", list}};
  CHECK(refusal(file.dump()).message == "too many pre-tokenizers");
  Json nested = Json::parse(R"({"type":"NFC"})");
  for (int i = 0; i < 12; ++i)
    nested = {{"type", "Sequence"}, {"normalizers", Json::array({nested})}};
  file = small();
  file["normalizer"] = nested;
  CHECK(refusal(file.dump()).message.find("not supported") != std::string::npos);
}

TEST_CASE("broken JSON is refused with its place") {
  const std::string whole = small().dump();
  for (std::size_t size = 0; size < whole.size(); size += 7)
    CHECK_FALSE(refusal(whole.substr(0, size)).message.empty());
  CHECK(refusal("version https://git-lfs").hint.find("git-lfs") != std::string::npos);
  CHECK(refusal("{\"a\":1,\"a\":2}").message == "duplicate key \"a\"");
  CHECK(
      refusal("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}").message ==
      "a token stands twice");
  CHECK(refusal("{\"a\":\"\xff\"}").message.find("not valid JSON") != std::string::npos);
  CHECK(refusal(std::string(100, '[')).message == "JSON is nested too deeply");
  CHECK_FALSE(refusal("5").message.empty());
  CHECK_FALSE(refusal("{}").message.empty());
}

TEST_CASE("an added token that is too long is refused") {
  Json file = small();
  file["added_tokens"][0]["content"] = std::string(1025, 'x');
  CHECK(refusal(file.dump()).where == "/added_tokens/0/content");
}

TEST_CASE("rules that blow a text up are stopped") {
  Json file = small();
  const Json step = {
      {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(100, 'a')}};
  Json steps = Json::array();
  for (int i = 0; i < 8; ++i) steps.push_back(step);
  const auto message_of = [](const auto& call) -> std::string {
    try {
      (void)call();
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::Input);
      return error.detail().message;
    }
    return "accepted";
  };
  const std::string expected = "the tokenizer's Replace or Prepend makes the text too long";
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  const auto normalizing = Tokenizer::from_json(file.dump(), "t.json");
  CHECK(message_of([&] { return normalizing.encode("aaaa", false); }) == expected);
  file["normalizer"] = {{"type", "Prepend"}, {"prepend", std::string(5000, 'a')}};
  const auto prepending = Tokenizer::from_json(file.dump(), "t.json");
  CHECK(message_of([&] { return prepending.encode("a", false); }) == expected);
  file["normalizer"] = nullptr;
  file["decoder"] = {{"type", "Sequence"}, {"decoders", steps}};
  const auto decoding = Tokenizer::from_json(file.dump(), "t.json");
  const std::vector<std::int32_t> ids(10, 0);
  CHECK(message_of([&] { return decoding.decode(ids, false); }) == expected);
}

TEST_CASE("a missing file is refused") {
  CHECK_THROWS_AS(Tokenizer::from_file("/nonexistent/tokenizer.json"), Error);
}

TEST_CASE("an old file without a model type and with a version line in its merges is BPE") {
  Json file = small();
  file["model"].erase("type");
  file["model"]["merges"] = {"#version: 0.2", "a b"};
  CHECK(Tokenizer::from_json(file.dump(), "t.json").encode("ab", false) ==
        std::vector<std::int32_t>{2});
}

// Ids of tokenizers 0.23.3. Words are cut before a space mark only where no merge may cross it.
TEST_CASE("merges across a space mark are those of tokenizers") {
  Json file = small();
  file["added_tokens"] = Json::array();
  Json& model = file["model"];
  model["vocab"] = {{"▁", 0},   {"a", 1},     {"▁a", 2},     {"▁▁", 3},      {">", 4},
                    {">▁a", 5}, {"<unk>", 6}, {"<0x41>", 7}, {"<0x41>▁a", 8}};
  model["merges"] = {"▁ ▁", "▁ a", "> ▁a"};
  using Ids = std::vector<std::int32_t>;
  const auto ids = [&](std::string_view text) {
    const Tokenizer tokenizer = Tokenizer::from_json(file.dump(), "t.json");
    const Ids whole = tokenizer.encode(text, false);
    WordCache cache;  // cuts words where no merge joins
    for (int times = 0; times < 2; ++times) {
      Ids cut;
      tokenizer.encode(text, cache, cut);
      CHECK(cut == whole);
    }
    return whole;
  };
  model["unk_token"] = nullptr;  // unknown characters vanish, their neighbours meet
  CHECK(ids("▁X▁") == Ids{3});
  CHECK(ids(">X▁a") == Ids{5});
  model["unk_token"] = "<unk>";
  CHECK(ids("▁X▁") == Ids{0, 6, 0});
  CHECK(ids(">▁a▁a") == Ids{5, 2});
  CHECK(ids("a>▁a") == Ids{1, 5});
  CHECK(ids(">X▁a") == Ids{4, 6, 2});
  CHECK(ids("aXa>>aa") == Ids{1, 6, 1, 4, 4, 1, 1});
  CHECK(ids("aXXYa") == Ids{1, 6, 6, 6, 1});
  model["fuse_unk"] = true;
  CHECK(ids("aXXYa") == Ids{1, 6, 1});
  model["fuse_unk"] = false;
  model["byte_fallback"] = true;
  model["merges"].push_back("<0x41> ▁a");
  CHECK(ids("A▁a") == Ids{8});
  CHECK(ids(">A▁a") == Ids{4, 8});
}

}  // namespace loraproof::text
