// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/json.h"

#include <string>

#include "support/temp_dir.h"
#include "unit/core/refused.h"

namespace loraproof {
namespace {

using test::contains;
using test::refused;

Error refused_json(const std::string& text, JsonLimits limits = {}) {
  return refused([&] { (void)parse_json(text, "a.json", limits); });
}

std::string nested(int levels) { return std::string(levels, '[') + std::string(levels, ']'); }

}  // namespace

TEST_CASE("keys keep the order of the file") {
  const Json json = parse_json(R"({"z": 1, "a": {"y": 2, "b": 3}, "m": 4})", "a.json");
  CHECK(json.dump() == R"({"z":1,"a":{"y":2,"b":3},"m":4})");
}

TEST_CASE("all JSON types arrive with their values") {
  const Json json = parse_json(
      "\xEF\xBB\xBF[null, true, false, -9223372036854775808, 18446744073709551615, 0.25, "
      "\"\\u00e9\\ud83d\\ude00\\u0000\"]",
      "a.json");
  CHECK(json[0].is_null());
  CHECK(json[1] == true);
  CHECK(json[2] == false);
  CHECK(json[3] == INT64_MIN);
  CHECK(json[4] == UINT64_MAX);
  CHECK(json[5] == 0.25);
  CHECK(json[6] == std::string("\xC3\xA9\xF0\x9F\x98\x80\0", 7));
  CHECK(parse_json("7", "a.json") == 7);  // a scalar is a document too
}

TEST_CASE("what is not JSON is refused with line and column") {
  const struct {
    const char* text;
    const char* where;
  } cases[] = {
      {"", "line 1, column 1"},
      {"{\"a\": 1,}", "line 1, column 9"},
      {"{\n  \"a\": nul\n}", "line 2, column 11"},
      {"[1, 2", "line 1, column 6"},
      {"{} {}", "line 1, column 4"},
      {"// no comments\n1", "line 1, column 1"},
      {"[NaN]", "line 1, column 2"},
      {"[01]", "line 1, column 3"},
      {"[1e999]", "line 1, column 6"},
      {"\"\\ud800\"", "line 1, column 8"},
      {"\"tab\there\"", "line 1, column 5"},
  };
  for (const auto& [text, where] : cases) {
    INFO(text);
    const Error error = refused_json(text);
    CHECK(error.kind() == ErrorKind::Input);
    CHECK(error.detail().file == "a.json");
    CHECK(error.detail().where == where);
    CHECK(error.detail().message.starts_with("not valid JSON: "));
  }
}

TEST_CASE("a duplicate key is refused wherever it stands") {
  CHECK(refused_json(R"({"a": 1, "a": 1})").detail().message == "duplicate key \"a\"");
  CHECK(refused_json(R"({"x": [{"b": 1, "c": {"b": 2}, "\u0062": 3}]})").detail().message ==
        "duplicate key \"b\"");
  CHECK(parse_json(R"([{"a": 1}, {"a": 2}])", "a.json").size() == 2);
}

TEST_CASE("nesting is bounded before the stack is") {
  CHECK(parse_json(nested(128), "a.json").is_array());
  CHECK(refused_json(nested(129)).what() ==
        std::string("a.json: JSON is nested too deeply: expected at most 128 levels"));
  CHECK(refused_json(std::string(2'000'000, '[')).detail().message == "JSON is nested too deeply");
  std::string objects;
  for (int i = 0; i < 4; ++i) objects += "{\"a\":";
  CHECK(refused_json(objects + "1}}}}", {.max_depth = 3}).detail().expected == "at most 3 levels");
  CHECK(parse_json(objects + "1}}}}", "a.json", {.max_depth = 4}).is_object());
}

TEST_CASE("the length of a text is bounded") {
  CHECK(parse_json("[1,2]", "a.json", {.max_bytes = 5}).size() == 2);
  const Error error = refused_json("[1,2]", {.max_bytes = 4});
  CHECK(error.what() ==
        std::string("a.json: JSON text is too long: expected at most 4 bytes, found 5 bytes"));
}

TEST_CASE("bytes that are not UTF-8 are refused, and the message stays writable") {
  for (const char* bytes :
       {"\"\xFF\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xE2\x82\"", "\xFF"}) {
    const Error error = refused_json(bytes);
    CHECK(error.kind() == ErrorKind::Input);
    CHECK_NOTHROW(Json(error.detail().message).dump());
  }
}

TEST_CASE("a NUL byte does not end the text") {
  const Error error = refused_json(std::string("{}\n\0{]", 6));
  CHECK(error.detail().message == "not valid JSON: NUL byte");
  CHECK(error.detail().where == "line 2, column 1");
}

TEST_CASE("a syntax error does not quote the whole file") {
  CHECK(refused_json("\"" + std::string(100'000, 'x')).detail().message.size() < 250);
}

TEST_CASE("an object of many keys is read in linear time") {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"k" + std::to_string(i) + "\":1,";
  text.back() = '}';
  CHECK(parse_json(text, "a.json").size() == 200'000);
}

TEST_CASE("a JSON file is named in what is wrong with it") {
  const test::TempDir folder;
  CHECK(read_json_file(folder.write("good.json", "[1]")).size() == 1);
  const auto path = folder.write("bad.json", "[");
  CHECK(refused([&] { (void)read_json_file(path); }).detail().file == path.string());
  const auto missing = folder.path() / "missing.json";
  CHECK(refused([&] { (void)read_json_file(missing); }).detail().file == missing.string());
  CHECK(refused([&] { (void)read_json_file(path, {.max_bytes = 0}); }).detail().message ==
        "file is too large");
}

TEST_CASE("typed access gives the value, or says pointer, expected and found") {
  const Json json = parse_json(
      R"({"s": "x", "i": -3, "n": 0.5, "b": true, "o": {"a/b~c": 1}, "none": null, "big": 18446744073709551615})",
      "a.json");
  const JsonObject object(json, "a.json");
  CHECK(object.string("s") == "x");
  CHECK(object.integer("i") == -3);
  CHECK(object.number("n") == 0.5);
  CHECK(object.number("i") == -3.0);
  CHECK(object.boolean("b"));
  CHECK(object.object("o").integer("a/b~c") == 1);
  CHECK(object.object("o").pointer_to("a/b~c") == "/o/a~1b~0c");
  CHECK_FALSE(object.has("none"));
  CHECK_FALSE(object.has("absent"));
  CHECK(object.find("none") == nullptr);
  CHECK(object.find("s") != nullptr);
  CHECK(object.string_or("none", "d") == "d");
  CHECK(object.integer_or("absent", 7) == 7);
  CHECK(object.number_or("n", 7) == 0.5);
  CHECK_FALSE(object.boolean_or("absent", false));

  const auto text = [&](const std::function<void()>& action) {
    return std::string(refused(action).what());
  };
  CHECK(text([&] { (void)object.string("i"); }) ==
        "a.json: /i: wrong type: expected a string, found number -3");
  CHECK(text([&] { (void)object.integer("n"); }) ==
        "a.json: /n: wrong type: expected an integer, found number 0.5");
  CHECK(text([&] { (void)object.integer("big"); }) ==
        "a.json: /big: wrong type: expected an integer, found number 18446744073709551615");
  CHECK(text([&] { (void)object.number("s"); }) ==
        "a.json: /s: wrong type: expected a number, found string \"x\"");
  CHECK(text([&] { (void)object.boolean("i"); }) ==
        "a.json: /i: wrong type: expected true or false, found number -3");
  CHECK(text([&] { (void)object.object("s"); }) ==
        "a.json: /s: wrong type: expected an object, found string \"x\"");
  CHECK(text([&] { (void)object.string("absent"); }) == "a.json: /absent: required key is missing");
  CHECK(text([&] { (void)object.string("none"); }) == "a.json: /none: required key is missing");
  CHECK(text([&] { (void)object.string_or("i", ""); }) ==
        "a.json: /i: wrong type: expected a string, found number -3");
  CHECK(text([&] { JsonObject(json["s"], "a.json"); }) ==
        "a.json: /: wrong type: expected an object, found string \"x\"");
}

TEST_CASE("brief cuts long values between characters") {
  CHECK(brief(Json("abc")) == "\"abc\"");
  CHECK(brief(Json("abcdefgh"), 7) == "\"abc...");
  CHECK(brief(Json("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"), 7) == "\"\xC3\xA9...");
  CHECK(brief(Json("\xFF")) == "\"\xEF\xBF\xBD\"");
  CHECK(brief(Json::array({1, 2}), 2) == "...");
}

}  // namespace loraproof
