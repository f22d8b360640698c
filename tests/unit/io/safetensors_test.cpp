// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/safetensors.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/digest.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "unit/io/bytes.h"

using loraproof::Error;
using loraproof::ErrorKind;
using loraproof::Json;
using loraproof::io::DType;
using loraproof::test::bytes_of;
using loraproof::test::from_hex;
using loraproof::test::safetensors_image;
using loraproof::test::to_hex;

namespace io = loraproof::io;

namespace {

const Json& oracle() {
  static const Json document =
      loraproof::read_json_file(LORAPROOF_SOURCE_DIR "/tests/oracles/io_safetensors.json");
  return document;
}

// The reason with the file name in front, or "accepted".
std::string refusal(const std::string& image) {
  try {
    (void)io::parse_safetensors_header(bytes_of(image), "x.safetensors");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    CHECK(error.detail().file == "x.safetensors");
    return error.what();
  }
  return "accepted";
}

std::string image_of(const Json& row) {
  if (row.contains("hex")) return from_hex(row["hex"].get<std::string>());
  // Only "deep nesting" is too long to commit.
  return safetensors_image("{\"w\":" + std::string(100000, '[') + std::string(100000, ']') + "}");
}

// What each broken file of the oracle is refused with.
const std::map<std::string, std::string>& expected_messages() {
  static const std::map<std::string, std::string> messages = {
      {"empty file", "too short for a safetensors file: expected at least 8 bytes, found 0 bytes"},
      {"seven bytes", "too short for a safetensors file: expected at least 8 bytes, found 7 bytes"},
      {"length only",
       "header runs past the end of the file: expected at most 0 bytes, found a header of 2 bytes; "
       "the file is truncated"},
      {"header longer than the file",
       "header runs past the end of the file: expected at most 2 bytes, found a header of 1000"},
      {"header over 100 MB",
       "header length out of range: expected at most 100000000 bytes, found 100000001; the file is "
       "damaged"},
      {"header length 2^64-1", "found 18446744073709551615; the file is damaged"},
      {"empty header",
       "header is not a JSON object: expected '{' as its first byte, found an empty"},
      {"gguf", "not a safetensors file: header length out of range: expected at most 100000000"},
      {"zip pickle", "this is a PyTorch pickle: load it in a trusted environment"},
      {"plain pickle", "this is a PyTorch pickle: load it in a trusted environment"},
      {"git lfs pointer", "this is a Git LFS pointer, not the file itself: run `git lfs pull`"},
      {"web page", "this is a web page: the download went wrong"},
      {"array header",
       "header is not a JSON object: expected '{' as its first byte, found byte 0x5b"},
      {"leading space",
       "header is not a JSON object: expected '{' as its first byte, found byte 0x20"},
      {"byte order mark", "expected '{' as its first byte, found byte 0xef"},
      {"not JSON", "line 1, column 6: not valid JSON"},
      {"text after the object", "line 1, column 4: not valid JSON"},
      {"NUL padding", "line 1, column 3: not valid JSON"},
      {"trailing comma", "not valid JSON"},
      {"invalid UTF-8", "not valid JSON: syntax error while parsing object key - invalid string"},
      {"lone surrogate", "not valid JSON: syntax error while parsing object key - invalid string"},
      {"deep nesting", "JSON is nested too deeply: expected at most 3 levels"},
      {"deep shape", "JSON is nested too deeply: expected at most 3 levels"},
      {"duplicate name", "duplicate key \"a\""},
      {"duplicate name by escape", "duplicate key \"a\""},
      {"duplicate key in an entry", "duplicate key \"dtype\""},
      {"empty name", "tensor with an empty name: expected a name, found \"\""},
      {"entry is a number",
       "\"w\": bad tensor entry: expected an object with dtype, shape, data_offsets, found 1"},
      {"entry is null",
       "\"w\": bad tensor entry: expected an object with dtype, shape, "
       "data_offsets, found null"},
      {"unknown key",
       "\"w\": unknown key in a tensor entry: expected dtype, shape, data_offsets, "
       "found \"stride\""},
      {"no dtype", "\"w\": incomplete tensor entry: expected key \"dtype\", found {\"shape\""},
      {"no shape", "\"w\": incomplete tensor entry: expected key \"shape\""},
      {"no offsets", "\"w\": incomplete tensor entry: expected key \"data_offsets\""},
      {"dtype number", "\"w\": bad dtype: expected a string, found 32"},
      {"dtype unknown",
       "\"w\": unsupported dtype: expected one of BOOL, U8, I8, U16, I16, F16, "
       "BF16, U32, I32, F32, U64, I64, F64, F8_E4M3, F8_E5M2, F8_E8M0, found \"F33\"; "
       "convert the tensor to a supported type"},
      {"dtype lower case", "found \"f32\""},
      {"dtype complex", "found \"C64\""},
      {"dtype four bits", "found \"F4\""},
      {"shape object", "\"w\": bad shape: expected an array of sizes, found {}"},
      {"shape null", "\"w\": bad shape: expected an array of sizes, found null"},
      {"size negative",
       "\"w\": bad size in a shape: expected a whole number from 0 to 2^63-1, found -2"},
      {"size minus zero", "\"w\": bad size in a shape"},
      {"size fraction", "from 0 to 2^63-1, found 2.0"},
      {"size exponent", "from 0 to 2^63-1, found 2.0"},
      {"size string", "from 0 to 2^63-1, found \"2\""},
      {"size true", "from 0 to 2^63-1, found true"},
      {"size 2^63", "from 0 to 2^63-1, found 9223372036854775808"},
      {"size 2^64", "\"w\": bad size in a shape"},
      {"product overflows",
       "\"w\": tensor size overflows: expected less than 2^63 bytes, found [4294967296, "
       "4294967296]"},
      {"product wraps to 8", "\"w\": bad size in a shape"},
      {"bytes overflow", "\"w\": tensor size overflows"},
      {"overflow before a zero", "\"w\": tensor size overflows"},
      {"rank nine", "\"w\": too many dimensions: expected at most 8, found 9"},
      {"too few bytes for the shape",
       "\"w\": tensor bytes do not match its type and shape: expected "
       "12 bytes for F32 [3], found 8 bytes"},
      {"too many bytes for the shape", "expected 4 bytes for F32 [1], found 8 bytes"},
      {"offsets one number",
       "\"w\": bad data_offsets: expected two whole numbers, begin and end, found [8]"},
      {"offsets three numbers", "begin and end, found [0,8,8]"},
      {"offsets negative", "begin and end, found [-8,0]"},
      {"offsets fraction", "begin and end, found [0,8.5]"},
      {"offsets reversed", "\"w\": bad data_offsets: expected begin <= end, found [8,0]"},
      {"offsets past the end",
       "\"w\": tensor runs past the end of the file: expected at most 8 "
       "bytes of data, found an end at 16; the file is truncated"},
      {"offsets huge", "found an end at 18446744073709551615"},
      {"truncated data",
       "expected at most 7 bytes of data, found an end at 8; the file is truncated"},
      {"data missing", "expected at most 0 bytes of data, found an end at 8"},
      {"trailing bytes",
       "bytes after the last tensor: expected 8 bytes of data, found 9; the file "
       "was appended to or damaged"},
      {"data without tensors", "bytes after the last tensor: expected 0 bytes of data, found 1"},
      {"hole at the start",
       "\"w\": hole before the tensor: expected data that begins at 0, found 4"},
      {"hole in the middle",
       "\"b\": hole before the tensor: expected data that begins at 3, found 4"},
      {"overlap", "\"b\": tensors overlap: expected data that begins at 5, found 4"},
      {"same bytes twice", "\"b\": tensors overlap: expected data that begins at 8, found 0"},
      {"metadata a string",
       "\"__metadata__\": bad metadata: expected an object of strings, found \"x\""},
      {"metadata with a number",
       "\"__metadata__\": bad metadata: expected a string for key \"format\", found 1"},
      {"metadata with an object", "expected a string for key \"format\", found {}"},
  };
  return messages;
}

// Where we are stricter than the reference reader, on purpose (see the header of safetensors.h).
const std::set<std::string> kStricter = {"leading space", "empty name",      "unknown key",
                                         "dtype complex", "dtype four bits", "rank nine"};

}  // namespace

TEST_CASE("safetensors: every broken file is refused with a message that names the place") {
  std::set<std::string> seen;
  for (const Json& row : oracle()["broken"]) {
    const auto label = row["label"].get<std::string>();
    INFO(label);
    const std::string found = refusal(image_of(row));
    REQUIRE(expected_messages().count(label) == 1);
    INFO(found);
    CHECK(found.find(expected_messages().at(label)) != std::string::npos);
    seen.insert(label);
  }
  CHECK(seen.size() == expected_messages().size());
  CHECK(seen.size() >= 70);
}

TEST_CASE("safetensors: what the reference reader accepts and we refuse is a known list") {
  std::set<std::string> accepted;
  for (const Json& row : oracle()["broken"]) {
    if (row["peer"] == "accepted") accepted.insert(row["label"].get<std::string>());
  }
  CHECK(accepted == kStricter);
}

TEST_CASE("safetensors: files of the reference writer are read value for value") {
  for (const Json& file : oracle()["valid"]) {
    INFO(file["label"]);
    const std::string image = from_hex(file["hex"].get<std::string>());
    const auto header = io::parse_safetensors_header(bytes_of(image), "x");
    CHECK(Json(header.metadata) == file["metadata"]);
    REQUIRE(header.tensors.size() == file["tensors"].size());
    io::DigestByName digests;
    for (const Json& row : file["tensors"]) {
      const auto found = std::find_if(header.tensors.begin(), header.tensors.end(),
                                      [&](const auto& view) { return row["name"] == view.name; });
      REQUIRE(found != header.tensors.end());
      CHECK(name_of(found->dtype) == row["dtype"].get<std::string>());
      CHECK(found->shape == row["shape"].get<std::vector<std::int64_t>>());
      CHECK(to_hex(found->bytes) == row["bytes"].get<std::string>());
      CHECK(static_cast<std::size_t>(found->numel()) * size_of(found->dtype) ==
            found->bytes.size());
      digests[found->name] = tensor_digest(*found);
      CHECK(digests[found->name] == row["digest"].get<std::string>());
    }
    CHECK(io::combined_digest(digests) == file["combined"].get<std::string>());
  }
}

TEST_CASE("safetensors: an open file lists tensors in byte order and finds them by name") {
  const loraproof::test::TempDir folder;
  const std::string header = R"({"b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                             R"("e":{"dtype":"F32","shape":[0,7],"data_offsets":[3,3]},)"
                             R"("a":{"dtype":"F32","shape":[],"data_offsets":[3,7]}})";
  const auto path = folder.write("m.safetensors", safetensors_image(header, "xyz1234"));
  io::SafetensorsFile opened(path);
  const io::SafetensorsFile file = std::move(opened);  // views must survive a move
  REQUIRE(file.tensors().size() == 3);
  CHECK(file.tensors()[0].name == "b");
  CHECK(file.tensors()[1].name == "e");
  CHECK(file.tensors()[2].name == "a");
  CHECK(file.find("c") == nullptr);
  REQUIRE(file.find("a") == &file.tensors()[2]);
  CHECK(to_hex(file.find("a")->bytes) == "31323334");  // begins at an odd address: legal
  CHECK(file.find("a")->numel() == 1);
  CHECK(file.find("e")->numel() == 0);
  CHECK(file.file().path() == path);
  CHECK(file.metadata().empty());
}

TEST_CASE("safetensors: a name of control characters or a megabyte does not spoil the message") {
  const std::string noise = refusal(safetensors_image("{\"a\\u001b[2J\\n\":1}"));
  CHECK(noise.find('\x1b') == std::string::npos);
  CHECK(noise.find('\n') == std::string::npos);
  CHECK(refusal(safetensors_image("{\"" + std::string(1 << 20, 'n') + "\":1}")).size() < 600);
}

TEST_CASE("safetensors: a missing file and a folder are named") {
  const loraproof::test::TempDir folder;
  for (const auto& path : {folder.path() / "absent.safetensors", folder.path()}) {
    try {
      const io::SafetensorsFile file(path);
      FAIL("opened");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::Input);
      CHECK(error.detail().file == path.string());
    }
  }
}

TEST_CASE("tensor view: names, sizes and kinds of the element types agree with each other") {
  CHECK(io::dtype_from_name("BF16") == DType::BF16);
  CHECK_FALSE(io::dtype_from_name("bf16").has_value());
  CHECK(size_of(DType::F8E5M2) == 1);
  CHECK(io::dtype_from_name("F8_E8M0") == DType::F8E8M0);
  CHECK(size_of(DType::F8E8M0) == 1);
  CHECK(size_of(DType::F16) == 2);
  CHECK(size_of(DType::I64) == 8);
  CHECK(is_floating(DType::F8E4M3));
  CHECK_FALSE(is_floating(DType::U16));
  CHECK(io::shape_text(std::vector<std::int64_t>{8, 576}) == "[8, 576]");
  CHECK(io::shape_text({}) == "[]");
  CHECK(io::byte_count(DType::F64, std::vector<std::int64_t>{3, 5}) == 120);
  CHECK_FALSE(io::byte_count(DType::U8, std::vector<std::int64_t>{-1}).has_value());
}
