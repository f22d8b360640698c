// SPDX-License-Identifier: Apache-2.0
// Any bytes as a safetensors file: as they are, and with the length field corrected, since nearly
// every mutation of the header would otherwise end at the length check.
#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "loraproof/io/safetensors.h"

namespace {

using loraproof::fuzz::as_text;
using loraproof::fuzz::fuzz_check;
using loraproof::io::SafetensorsHeader;

constexpr std::size_t kLengthBytes = 8;

std::string with_length(std::string_view header, std::string_view data) {
  std::string image;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    image += static_cast<char>((header.size() >> (8 * i)) & 0xFF);
  }
  return image.append(header).append(data);
}

std::string two_vectors(std::string_view shape_a, std::string_view at_a, std::string_view shape_b,
                        std::string_view at_b) {
  std::string header = R"({"a":{"dtype":"U8","shape":)";
  header.append(shape_a).append(R"(,"data_offsets":)").append(at_a);
  header.append(R"(},"b":{"dtype":"U8","shape":)").append(shape_b);
  return header.append(R"(,"data_offsets":)").append(at_b).append("}}");
}

void check(std::string_view image) {
  const auto bytes = std::as_bytes(std::span(image.data(), image.size()));
  SafetensorsHeader header;
  const bool accepted = loraproof::fuzz::only_input_errors(
      [&] { header = loraproof::io::parse_safetensors_header(bytes, "fuzz"); });
  if (!accepted) return;
  fuzz_check(header.data_begin >= kLengthBytes && header.data_begin <= image.size(),
             "data begins inside the file");
  std::set<std::string_view> names;
  const std::byte* next = bytes.data() + header.data_begin;
  for (const auto& view : header.tensors) {
    fuzz_check(!view.name.empty() && names.insert(view.name).second, "names are set and unique");
    fuzz_check(view.bytes.data() == next, "tensors follow each other");
    fuzz_check(static_cast<std::size_t>(view.numel()) * size_of(view.dtype) == view.bytes.size(),
               "bytes are those of type and shape");
    next += view.bytes.size();
  }
  fuzz_check(next == bytes.data() + bytes.size(), "tensors cover the data");
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  const std::string two =
      R"({"__metadata__":{"format":"pt"},"a.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
      R"("b":{"dtype":"F32","shape":[],"data_offsets":[12,16]}} )";
  const std::string empty = R"({"e":{"dtype":"I64","shape":[0,4],"data_offsets":[0,0]}})";
  // Near misses: one wrong place each, consistent otherwise, so that a mutation often repairs them.
  const std::string overlap = two_vectors("[4]", "[0,4]", "[4]", "[2,6]");
  const std::string hole = two_vectors("[2]", "[0,2]", "[2]", "[4,6]");
  const std::string zeros = two_vectors("[9223372036854775807,0]", "[0,0]", "[6]", "[0,6]");
  const std::string data(6, 'x');
  return {.seeds = {with_length("{}", ""), with_length(two, std::string(16, 'x')),
                    with_length(empty, ""), with_length(overlap, data), with_length(hole, data),
                    with_length(zeros, data)},
          .dictionary = {"\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"__metadata__\":",
                         "\"F8_E4M3\"", "\"C64\"", "[0,0]", "[12,16]", "{}", "[]", "[[",
                         "{\"a\":", "\\u0061", "\\ud800", "\xff", ",", "-0", "0,", "1.0"}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view image = as_text(data, size);
  check(image);
  if (size <= kLengthBytes) return 0;
  const std::string_view rest = image.substr(kLengthBytes);
  const std::size_t brace = rest.rfind('}');
  const std::size_t header_bytes = brace == rest.npos ? rest.size() : brace + 1;
  check(with_length(rest.substr(0, header_bytes), rest.substr(header_bytes)));
  return 0;
}
