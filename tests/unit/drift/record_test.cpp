// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/record.h"

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/drift/batch.h"
#include "loraproof/drift/text_figures.h"
#include "support/catch.h"

namespace loraproof::drift {
namespace {

using Outcome = RecordParser::Outcome;

struct Parsed {
  Outcome outcome = Outcome::Good;
  Malformed why{};
  std::vector<std::string> texts;
  std::vector<std::int32_t> ids;
  std::string finish_reason;
  bool refused = false;
  std::vector<FeatureValue> features;
};

Parsed parse(const std::string& line, const RecordOptions& options = {}) {
  RecordParser parser(options);
  Record record;
  Parsed out;
  const std::string padded = line + std::string(kPadding, '\0');
  out.outcome = parser.parse(std::string_view(padded).substr(0, line.size()), record, out.why);
  out.texts.assign(record.texts.begin(), record.texts.end());
  out.ids = record.ids;
  out.finish_reason = record.finish_reason;
  out.refused = record.refused;
  out.features = record.features;
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("malformed lines are told apart") {
  struct Case {
    std::string line;
    Malformed why;
  };
  const std::vector<Case> cases = {
      {"not json", Malformed::Json},
      {"{\"prompt\":\"a\"", Malformed::Json},
      {"{\"prompt\":\"a\"} x", Malformed::Json},
      {"{\"prompt\":\"a\\q\"}", Malformed::Json},
      {"{\"prompt\":\"\x01\"}", Malformed::Json},
      {"{\"prompt\":1}", Malformed::Type},
      {"{\"prompt\":{\"a\":1}}", Malformed::Type},
      {"[\"prompt\"]", Malformed::Type},
      {"\"prompt\"", Malformed::Type},
      {"{\"messages\":[1]}", Malformed::Type},
      {"{\"messages\":[{\"role\":\"user\",\"content\":7}]}", Malformed::Type},
      {"{\"text\":\"a\"}", Malformed::MissingField},
      {"{\"prompt\":null}", Malformed::MissingField},
      {"{\"messages\":[{\"role\":\"system\",\"content\":\"a\"}]}", Malformed::MissingField},
      {"{}", Malformed::MissingField},
      {"{\"prompt\":\"\\ud800\"}", Malformed::Surrogate},
      {"{\"prompt\":\"\\ud83dx\"}", Malformed::Surrogate},
      {"{\"prompt\":\"\\udc00\"}", Malformed::Surrogate},
      {"{\"prompt\":\"caf\xE9\"}", Malformed::Utf8},
      {std::string("{\"prompt\":\"a\0\"}", 14), Malformed::Binary},
      {"\x7F\x45LF\x02\x01\x01\x03\xFF\xFE\x80", Malformed::Binary},
  };
  for (const Case& row : cases) {
    INFO(row.line);
    const Parsed found = parse(row.line);
    CHECK(found.outcome == Outcome::Bad);
    CHECK(name_of(found.why) == name_of(row.why));
  }
}

TEST_CASE("texts of the usual records") {
  CHECK(parse("{\"prompt\":\"a \\u00e9 \\ud83d\\ude00\"}").texts ==
        Texts{"a \xC3\xA9 \xF0\x9F\x98\x80"});
  CHECK(parse("{\"prompt\":[\"a\",\"b\"]}").texts == Texts{"a", "b"});
  CHECK(parse("{\"prompt\":[5,6]}").ids == std::vector<std::int32_t>{5, 6});
  CHECK(parse("{\"prompt\":\"\"}").texts == Texts{""});
  const std::string chat =
      "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"}"
      ","
      "{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"user\",\"content\":[{\"type\":"
      "\"text\",\"text\":\"v\"},"
      "{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]}]}";
  CHECK(parse(chat).texts == Texts{"u", "v"});
  CHECK(parse(chat, {.keep_system = true}).texts == Texts{"s", "u", "v"});
  CHECK(parse(chat, {.side = Side::Output}).texts == Texts{"a"});
  CHECK(parse("{\"a\":{\"b/c\":\"deep\"}}", {.field = "/a/b~1c"}).texts == Texts{"deep"});
  CHECK(parse("{\"ids\":[1,2,3]}", {.ids = true}).ids == std::vector<std::int32_t>{1, 2, 3});
  CHECK(parse("{\"ids\":[1,-2]}", {.ids = true}).why == Malformed::Type);
  CHECK(parse("{\"n\":123456789012345678901234567890,\"prompt\":\"12345678901234567890\"}").texts ==
        Texts{"12345678901234567890"});
}

TEST_CASE("OpenAI requests, batch lines and results") {
  const RecordOptions prompts{.format = LogFormat::OpenAi};
  const RecordOptions outputs{.format = LogFormat::OpenAi, .side = Side::Output};
  CHECK(parse("{\"custom_id\":\"1\",\"method\":\"POST\",\"url\":\"/v1/chat/"
              "completions\",\"body\":{\"model\":\"m\","
              "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}}",
              prompts)
            .texts == Texts{"hi"});
  CHECK(parse("{\"model\":\"m\",\"prompt\":\"once\"}", prompts).texts == Texts{"once"});
  CHECK(parse("{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_"
              "text\",\"text\":\"q\"}]}]}",
              prompts)
            .texts == Texts{"q"});
  const Parsed batch = parse(
      "{\"custom_id\":\"1\",\"response\":{\"status_code\":200,\"body\":{\"choices\":[{\"index\":0,"
      "\"message\":"
      "{\"role\":\"assistant\",\"content\":\"4.\",\"refusal\":null},\"finish_reason\":\"length\"}]}"
      "},\"error\":null}",
      outputs);
  CHECK(batch.texts == Texts{"4."});
  CHECK(batch.finish_reason == "length");
  CHECK_FALSE(batch.refused);
  CHECK(parse("{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"no\"},\"finish_reason\":"
              "\"stop\"}]}",
              outputs)
            .refused);
  CHECK(parse("{\"custom_id\":\"1\",\"response\":null,\"error\":{\"code\":\"x\"}}", outputs).why ==
        Malformed::MissingField);
}

TEST_CASE("vLLM's request log, old and new, plain and as JSON") {
  const RecordOptions prompts{.format = LogFormat::Vllm};
  const RecordOptions outputs{.format = LogFormat::Vllm, .side = Side::Output};
  const std::string old =
      "INFO 09-10 19:10:43 [logger.py:43] Received request cmpl-1: prompt: 'It\\'s\\n\"x\" "
      "\\u20ac', params: SamplingParams(n=1), "
      "prompt_token_ids: [1, 2], prompt_embeds shape: None, lora_request: None.";
  CHECK(parse(old, prompts).texts == Texts{"It's\n\"x\" \xE2\x82\xAC"});
  CHECK(parse("DEBUG Request chat-2 details: prompt: \"it's\", prompt_token_ids: [3], "
              "prompt_embeds shape: None.",
              prompts)
            .texts == Texts{"it's"});
  CHECK(
      parse("{\"levelname\":\"INFO\",\"message\":\"Received request a: prompt: 'hi', params: x\"}",
            prompts)
          .texts == Texts{"hi"});
  CHECK(
      parse("Received request a: prompt: None, params: x, prompt_token_ids: [3, 4], rest", prompts)
          .ids == std::vector<std::int32_t>{3, 4});
  CHECK(parse("INFO Avg prompt throughput: 3 tokens/s", prompts).outcome == Outcome::Skip);
  CHECK(parse("Received request a: params: x, lora_request: None.", prompts).outcome ==
        Outcome::Skip);
  const Parsed answer = parse(
      "Generated response a: output: 'yes', output_token_ids: [5], finish_reason: stop", outputs);
  CHECK(answer.texts == Texts{"yes"});
  CHECK(answer.finish_reason == "stop");
  CHECK(parse("Generated response a (streaming delta): output: 'y', output_token_ids: [5], "
              "finish_reason: None",
              outputs)
            .outcome == Outcome::Skip);
  CHECK(
      parse(
          "{\"custom_id\":\"1\",\"body\":{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}}",
          prompts)
          .texts == Texts{"hi"});
}

TEST_CASE("features are scalars, other or missing") {
  RecordOptions options;
  for (const char* pointer : {"/t", "/n", "/b", "/o", "/no"})
    options.features.push_back({pointer, pointer});
  const Parsed found = parse("{\"prompt\":\"a\",\"t\":\"x\",\"n\":3,\"b\":true,\"o\":{}}", options);
  using Kind = FeatureValue::Kind;
  REQUIRE(found.features.size() == 5);
  CHECK(found.features[0].value == "x");
  CHECK(found.features[1].value == "3");
  CHECK(found.features[2].value == "true");
  CHECK(found.features[3].kind == Kind::Other);
  CHECK(found.features[4].kind == Kind::Missing);
}

TEST_CASE("pointers of options") {
  CHECK(json_pointer("prompt", "--field") == "/prompt");
  CHECK(json_pointer("/a/~0b", "--field") == "/a/~0b");
  CHECK(json_pointer("", "--field").empty());
  CHECK_THROWS_AS(json_pointer("/a~2", "--field"), Error);
}

TEST_CASE("openings of refusals") {
  CHECK(begins_as_refusal("I'm sorry, but I can't do that."));
  CHECK(begins_as_refusal(" \"I can\xE2\x80\x99t help with this"));
  CHECK(begins_as_refusal("As an AI model, I"));
  CHECK_FALSE(begins_as_refusal("I candidly agree"));
  CHECK_FALSE(begins_as_refusal("The answer is: I can't."));
  CHECK_FALSE(begins_as_refusal(""));
}

TEST_CASE("figures of a text") {
  const TextFigures figures =
      scan_text("See https://a.b/c, <|im_start|> xhttp://no ```code``` 12 \xD0\x96");
  CHECK(figures.url_bytes == 14);
  CHECK(figures.markers == 1);
  CHECK(figures.code_bytes == 4);
  CHECK(figures.digits == 2);
  CHECK(figures.letters[1] == 1);
}

}  // namespace loraproof::drift
