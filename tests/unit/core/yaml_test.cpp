// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/yaml.h"

#include <string>

#include "loraproof/core/json.h"
#include "support/temp_dir.h"
#include "unit/core/refused.h"

namespace loraproof {
namespace {

using test::contains;
using test::refused;

Error refused_yaml(const std::string& text) {
  return refused([&] { (void)parse_yaml(text, "a.yaml"); });
}

}  // namespace

TEST_CASE("plain scalars follow the core schema, quoted ones stay strings") {
  const struct {
    const char* yaml;
    Json value;
  } cases[] = {
      {"null", nullptr},
      {"~", nullptr},
      {"", nullptr},
      {"true", true},
      {"FALSE", false},
      {"yes", "yes"},  // bool in YAML 1.1 only
      {"off", "off"},
      {"0", 0},
      {"-12", -12},
      {"+3", 3},
      {"007", 7},
      {"9223372036854775807", INT64_MAX},
      {"1.5", 1.5},
      {"-.5", -0.5},
      {"5.", 5.0},
      {"1e-3", 0.001},
      {"+2E2", 200.0},
      {"+-5", "+-5"},
      {"-+5", "-+5"},
      {"+", "+"},
      {"-e", "-e"},
      {"1e", "1e"},
      {"1.2.3", "1.2.3"},
      {"1_000", "1_000"},
      {"0x1F", "0x1F"},
      {".inf", ".inf"},
      {".nan", ".nan"},
      {"nan", "nan"},
      {"infinity", "infinity"},
      {"12:30", "12:30"},
      {"2026-01-02", "2026-01-02"},
      {"\"null\"", "null"},
      {"'1'", "1"},
      {"\"true\"", "true"},
      {"''", ""},
      {"!!str 5", "5"},
      {"text with spaces", "text with spaces"},
  };
  for (const auto& [yaml, value] : cases) {
    INFO(yaml);
    const Json json = parse_yaml(std::string("key: ") + yaml + "\n", "a.yaml");
    CHECK(json.at("key") == value);
    CHECK(json.at("key").type_name() == std::string(value.type_name()));
  }
}

TEST_CASE("maps and lists nest, and keys keep the order of the file") {
  const Json json = parse_yaml(
      "z: [1, {b: 2, a: 3}]\na:\n  - x\n  -\n    k: |\n      two\n      lines\n", "a.yaml");
  CHECK(json.dump() == R"({"z":[1,{"b":2,"a":3}],"a":["x",{"k":"two\nlines\n"}]})");
  CHECK(parse_yaml("1: one\nnull_key: 2\n", "a.yaml").dump() == R"({"1":"one","null_key":2})");
}

TEST_CASE("an empty document is null") {
  CHECK(parse_yaml("", "a.yaml").is_null());
  CHECK(parse_yaml("# only a comment\n", "a.yaml").is_null());
}

TEST_CASE("what is not plain, strict YAML is refused with its place") {
  const struct {
    const char* text;
    const char* where;
    const char* message;
  } cases[] = {
      {"a: 1\nb: 2\na: 3\n", "line 3, column 1", "duplicate key \"a\""},
      {"x: {a: 1, \"a\": 2}\n", "line 1, column 11", "duplicate key \"a\""},
      {"a: &x 1\nb: *x\n", "line 2, column 4", "aliases are not supported here"},
      {"? [1, 2]\n: 3\n", "line 1, column 3", "a key must be a plain or quoted string"},
      {"? {a: 1}\n: 3\n", "line 1, column 3", "a key must be a plain or quoted string"},
      {"~: 3\n", "line 1, column 1", "a key must be a plain or quoted string"},
      {"a: [1, 2\n", "line 2, column 1", "not valid YAML: "},
      {"a: b: c\n", "line 1, column 5", "not valid YAML: "},
      {"\ta: 1\n", "line 1, column 3", "not valid YAML: "},
      {"a: 1\n---\nb: 2\n", "", "holds several YAML documents"},
      {"a: 1\n...\n---\n", "", "holds several YAML documents"},
  };
  for (const auto& [text, where, message] : cases) {
    INFO(text);
    const Error error = refused_yaml(text);
    CHECK(error.kind() == ErrorKind::Input);
    CHECK(error.detail().file == "a.yaml");
    CHECK(error.detail().where == where);
    CHECK(error.detail().message.starts_with(message));
  }
}

TEST_CASE("YAML nesting is bounded in flow and block style") {
  const auto flow = [](int levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  CHECK(parse_yaml(flow(32), "a.yaml").is_array());
  CHECK(contains(refused_yaml(flow(33)).detail().message, "nested deeper than 32 levels"));
  CHECK(contains(refused_yaml(flow(100'000)).detail().message, "nested deeper than 32 levels"));
  CHECK(contains(refused_yaml(std::string(1'000'000, '{')).detail().message,
                 "nested deeper than 32 levels"));
  std::string block, keys;
  for (int i = 0; i < 5'000; ++i) block += "- ", keys += "? ";
  CHECK(contains(refused_yaml(block + "1").detail().message, "nested deeper than 32 levels"));
  CHECK(refused_yaml(keys + "1").kind() == ErrorKind::Input);
  CHECK(contains(refused_yaml("#" + std::string(4 << 20, ' ')).detail().message,
                 "YAML text is too long"));
}

TEST_CASE("YAML that is not UTF-8 is refused, because no report could hold it") {
  CHECK(refused_yaml("a: \"\xFF\"\n").detail().message == "YAML text is not UTF-8");
  CHECK(refused_yaml(std::string("\xFF\xFE"
                                 "a\0:\0 \0001\0",
                                 10))
            .detail()
            .message == "YAML text is not UTF-8");
  CHECK(parse_yaml("a: \xC3\xA9\n", "a.yaml").at("a") == "\xC3\xA9");
}

TEST_CASE("a map of many keys is read in linear time") {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += "k" + std::to_string(i) + ": 1\n";
  CHECK(parse_yaml(text, "a.yaml").size() == 50'000);
}

TEST_CASE("a YAML file is named in what is wrong with it") {
  const test::TempDir folder;
  CHECK(read_yaml_file(folder.write("good.yaml", "a: 1")).at("a") == 1);
  const auto path = folder.write("bad.yaml", "a: [");
  CHECK(refused([&] { (void)read_yaml_file(path); }).detail().file == path.string());
  CHECK(contains(refused([&] { (void)read_yaml_file(folder.path() / "none"); }).what(),
                 "none: cannot open: No such file or directory"));
}

}  // namespace loraproof
