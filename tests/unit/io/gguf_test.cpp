// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/gguf.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "loraproof/io/tensor_view.h"
#include "support/catch.h"
#include "support/errors.h"
#include "support/temp_dir.h"
#include "unit/io/bytes.h"
#include "unit/io/gguf_image.h"

namespace io = loraproof::io;
using loraproof::test::bytes_of;
using loraproof::test::GgufImage;
using loraproof::test::input_error_of;

namespace {

std::string refusal(const std::string& image) {
  const auto detail = input_error_of([&] { (void)io::parse_gguf(bytes_of(image), "x.gguf"); });
  CHECK(detail.file == "x.gguf");
  return detail.where + ": " + detail.message + ": expected " + detail.expected + ", found " +
         detail.found;
}

GgufImage small() {
  GgufImage image;
  image.text("general.architecture", "llama").u32("llama.block_count", 2);
  image.f32("llama.rope.freq_base", 10000.0f).texts("tokens", {"a", "", "ccc"});
  image.entry("flag", 7, std::string(1, '\1'));
  image.entry("minus", 11, GgufImage::number(std::uint64_t(-5)));
  image.tensor("a.weight", 0, {2, 3}, GgufImage::floats({1, 2, 3, 4, 5, 6}));
  image.tensor("b", 0, {1}, GgufImage::floats({-0.5f}));
  return image;
}

}  // namespace

TEST_CASE("gguf values and tensors are views into the file") {
  const std::string image = small().image();
  const io::GgufHeader header = io::parse_gguf(bytes_of(image), "x.gguf");
  CHECK(header.version == 3);
  CHECK(header.metadata.at("general.architecture").text() == "llama");
  CHECK(header.metadata.at("llama.block_count").integer() == 2);
  CHECK(header.metadata.at("llama.rope.freq_base").number() == 10000.0);
  CHECK(header.metadata.at("minus").integer() == -5);
  CHECK(header.metadata.at("flag").boolean() == true);
  CHECK(header.metadata.at("tokens").count == 3);
  CHECK(header.metadata.at("tokens").texts() == std::vector<std::string_view>{"a", "", "ccc"});
  // Asked as something else: nothing.
  CHECK_FALSE(header.metadata.at("flag").integer());
  CHECK_FALSE(header.metadata.at("tokens").text());
  CHECK_FALSE(header.metadata.at("tokens").integers());
  CHECK_FALSE(header.metadata.at("llama.block_count").text());
  REQUIRE(header.tensors.size() == 2);
  CHECK(header.tensors[0].name == "a.weight");
  CHECK(header.tensors[0].shape == std::vector<std::int64_t>{2, 3});
  std::vector<float> values(6);
  io::decode_ggml(*header.tensors[0].type, header.tensors[0].bytes, values);
  CHECK(values == std::vector<float>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("an opened gguf file finds by name") {
  const loraproof::test::TempDir folder;
  const io::GgufFile file(folder.write("x.gguf", small().image()));
  REQUIRE(file.find("b") != nullptr);
  CHECK(file.find("b")->bytes.size() == 4);
  CHECK(file.find("c") == nullptr);
  CHECK(file.value("llama.block_count") != nullptr);
  CHECK(file.value("none") == nullptr);
}

TEST_CASE("version 2 and another alignment are read, too") {
  GgufImage image;
  image.version = 2;
  image.alignment = 64;
  image.u32("general.alignment", 64);
  image.tensor("a", 0, {1}, GgufImage::floats({7}));
  image.tensor("b", 0, {1}, GgufImage::floats({8}));
  const std::string bytes = image.image();
  const io::GgufHeader header = io::parse_gguf(bytes_of(bytes), "x.gguf");
  CHECK(header.alignment == 64);
  float value = 0;
  io::decode_ggml(*header.tensors[1].type, header.tensors[1].bytes, {&value, 1});
  CHECK(value == 8);
}

TEST_CASE("every truncation of a gguf file is refused") {
  const std::string image = small().image();
  for (std::size_t size = 0; size < image.size(); ++size) {
    INFO(size);
    const std::string cut = image.substr(0, size);
    CHECK_THROWS_AS(io::parse_gguf(bytes_of(cut), "x.gguf"), loraproof::Error);
  }
}

TEST_CASE("broken gguf files are refused with what is wrong") {
  const auto with = [](const auto& change) {
    GgufImage image;
    change(image);
    return refusal(image.image());
  };
  using Image = GgufImage;
  const std::string four = GgufImage::floats({1});
  CHECK(refusal("PK\3\4 something else") ==
        ": not a GGUF file: expected the bytes \"GGUF\" at its start, found \"PK\\u0003\\u0004\"");
  CHECK(refusal("") ==
        ": not a GGUF file: expected the bytes \"GGUF\" at its start, found an empty file");
  CHECK(with([](Image& i) { i.version = 1; }) ==
        "version: GGUF version is not supported: expected 2 or 3, found 1");
  CHECK(with([](Image& i) { i.version = 0x03000000; }) ==
        "version: GGUF version is not supported: expected 2 or 3, found a big-endian file");
  CHECK(with([](Image& i) { i.entry("k", 13, "xxxx"); }) ==
        "\"k\": unknown type of a GGUF value: expected 0 to 12, found 13");
  CHECK(with([](Image& i) { i.entry("k", 9, Image::number(9u) + Image::number(1ul)); }) ==
        "\"k\": array of arrays: expected an array of numbers or strings, found array");
  CHECK(with([](Image& i) { i.u32("k", 1).u32("k", 2); }) ==
        "\"k\": key stands twice in the GGUF file: expected one value, found two");
  CHECK(with([](Image& i) { i.u32("", 1); }) ==
        ": GGUF value without a key: expected a key, found \"\"");
  CHECK(with([](Image& i) { i.u32("general.alignment", 24); }) ==
        "general.alignment: bad alignment: expected a power of two up to 1048576, found 24");
  CHECK(with([&](Image& i) { i.tensor("t", 4, {1}, four); }).find("found type 4") !=
        std::string::npos);
  CHECK(with([&](Image& i) { i.tensor("t", 0, {}, four); }) ==
        "\"t\": bad number of dimensions: expected 1 to 4, found 0");
  CHECK(with([&](Image& i) {
          i.tensor("t", 0, {0, 4}, four);
        }) == "\"t\": bad size in a shape: expected a whole number from 1 to 2^63-1, found 0");
  CHECK(with([&](Image& i) {
          i.tensor("t", 2, {1, 31}, four);
        }) ==
        "\"t\": row is not a whole number of blocks: expected a multiple of 32 for q4_0, found [1, "
        "31]");
  CHECK(with([&](Image& i) {
          i.tensor("t", 0, {1ul << 40, 1ul << 40}, four);
        }) ==
        "\"t\": tensor size overflows: expected less than 2^59 bytes, found [1099511627776, "
        "1099511627776]");
  CHECK(with([&](Image& i) { i.raw_tensor("t", 0, {1}, 4, four + four); }) ==
        "\"t\": tensor is not aligned: expected an offset divisible by 32, found 4");
  CHECK(with([&](Image& i) { i.tensor("t", 0, {2}, four); }) ==
        "\"t\": tensor runs past the end of the file: expected 8 bytes at 0 of the data, found 4 "
        "bytes of data");
  CHECK(with([&](Image& i) {
          i.raw_tensor("t", 0, {1}, ~31ul, four);
        }).find("tensor runs past the end") != std::string::npos);
  CHECK(with([&](Image& i) { i.tensor("a", 0, {1}, four).raw_tensor("b", 0, {1}, 0, ""); }) ==
        "\"b\": tensors overlap: expected bytes after those of \"a\", found an offset of 0");
  CHECK(with([&](Image& i) { i.tensor("a", 0, {1}, four).tensor("a", 0, {1}, four); }) ==
        "\"a\": two tensors have one name: expected one tensor, found two");
}

TEST_CASE("counts that no file can hold are refused before anything is reserved") {
  const std::string head = "GGUF" + GgufImage::number(3u);
  const std::string many = GgufImage::number(std::numeric_limits<std::uint64_t>::max());
  const std::string none = GgufImage::number(std::uint64_t{0});
  CHECK(refusal(head + many + none) ==
        ": more tensors than the file can hold: expected at most 0, found 18446744073709551615");
  CHECK(refusal(head + none + many).find("more values than the file can hold") !=
        std::string::npos);
  const std::string one = GgufImage::number(std::uint64_t{1});
  CHECK(refusal(head + none + one + many + "x" + std::string(20, 'x')).find("text is too long") !=
        std::string::npos);
  GgufImage array;
  array.entry("k", 9, GgufImage::number(10u) + many);
  CHECK(refusal(array.image()).find("array runs past the end of the file") != std::string::npos);
}

TEST_CASE("known types without a decoder have sizes; wrong sizes of buffers are our own mistake") {
  const io::GgmlType* type = io::find_ggml_type(16);
  REQUIRE(type != nullptr);
  CHECK(type->name == "iq2_xxs");
  CHECK(type->decode_block == nullptr);
  CHECK(io::find_ggml_type(5) == nullptr);
  float value = 0;
  CHECK_THROWS_AS(io::decode_ggml(*type, {}, {&value, 1}), loraproof::Error);
  CHECK(io::decodable_ggml_types().find("q4_K") != std::string::npos);
}

TEST_CASE("q4_0 by hand: low nibbles first, then high ones, scaled by an fp16") {
  // d = 0.5 (0x3800); byte i has low nibble i and high nibble 15 - i.
  std::string block = std::string("\x00\x38", 2);
  for (int i = 0; i < 16; ++i) block += static_cast<char>(i | ((15 - i) << 4));
  std::vector<float> values(32);
  io::decode_ggml(*io::find_ggml_type(2), bytes_of(block), values);
  CHECK(values[0] == -4.0f);
  CHECK(values[15] == 3.5f);
  CHECK(values[16] == 3.5f);
  CHECK(values[31] == -4.0f);
}
