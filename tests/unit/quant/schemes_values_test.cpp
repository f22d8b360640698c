// SPDX-License-Identifier: Apache-2.0
// Every scheme against what its library made of the same small matrices, bit for bit
// (tests/oracles/quant_values.py).
#include <cmath>
#include <cstring>
#include <fstream>

#include "loraproof/core/digest.h"
#include "loraproof/core/json.h"
#include "support/catch.h"
#include "support/errors.h"
#include "unit/quant/matrix.h"

namespace loraproof::quant::test {
namespace {

const Json& document() {
  static const Json json = [] {
    std::ifstream file(LORAPROOF_SOURCE_DIR "/golden/values/quant_schemes.json");
    REQUIRE(file.good());
    return Json::parse(file);
  }();
  return json;
}

std::vector<std::uint8_t> bytes_of(const std::string& hexadecimal) {
  std::vector<std::uint8_t> bytes(hexadecimal.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(std::stoi(hexadecimal.substr(2 * i, 2), nullptr, 16));
  return bytes;
}

template <typename Value>
std::vector<Value> array_of(const Json& hexadecimal) {
  const auto bytes = bytes_of(hexadecimal.get<std::string>());
  std::vector<Value> values(bytes.size() / sizeof(Value));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

io::DType dtype_of(const Json& name) {
  const auto text = name.get<std::string>();
  return text == "BF16" ? io::DType::BF16 : text == "F16" ? io::DType::F16 : io::DType::F32;
}

float factor_of(std::size_t row) { return std::ldexp(1.0F, static_cast<int>(row * 7 % 5) - 2); }

// As in_tiles() and larger() of the script.
Matrix in_tiles(const Matrix& source) {
  const auto columns = static_cast<std::size_t>(source.shape.columns);
  std::vector<float> two(2 * columns), values;
  io::widen(source.shape.dtype, source.bytes, two);
  for (std::size_t row = 0; row < 128; ++row)
    for (std::size_t i = 0; i < columns; ++i)
      values.push_back(two[row % 2 * columns + i] * factor_of(row));
  return matrix_of({128, source.shape.columns, source.shape.dtype}, values);
}

Matrix larger(io::DType dtype) {
  std::uint32_t state = 1;
  std::vector<float> values;
  for (std::size_t row = 0; row < 128; ++row) {
    for (int i = 0; i < 512; ++i) {
      int total = 0;
      for (int part = 0; part < 3; ++part) {
        state = state * 1664525U + 1013904223U;
        total += static_cast<int>(state >> 20);
      }
      values.push_back(static_cast<float>(total - 6143) / 65536.0F * factor_of(row));
    }
  }
  return matrix_of({128, 512, dtype}, values);
}

Matrix input_named(const std::string& name) {
  if (name == "in tiles") return in_tiles(input_named("mixed"));
  if (name == "larger BF16") return larger(io::DType::BF16);
  if (name == "larger F32") return larger(io::DType::F32);
  const Json& input = document()["inputs"][name];
  Matrix matrix;
  matrix.shape = {input["rows"].get<std::int64_t>(), input["columns"].get<std::int64_t>(),
                  dtype_of(input["dtype"])};
  for (const std::uint8_t byte : bytes_of(input["values"].get<std::string>()))
    matrix.bytes.push_back(static_cast<std::byte>(byte));
  return matrix;
}

// A whole array, or only its digest.
template <typename Value>
void check_array(const Json& expected, const char* part, const std::vector<Value>& ours) {
  if (!expected.contains(part)) return;
  INFO(part);
  if (expected[part].get<std::string>().starts_with("sha256:")) {
    CHECK(sha256_of(std::as_bytes(std::span(ours))) == expected[part].get<std::string>());
  } else {
    CHECK(ours == array_of<Value>(expected[part]));
  }
}

void check_values(const Json& expected, io::DType dtype, const std::vector<float>& values) {
  std::vector<float> positive = values;
  for (float& value : positive) value += 0.0F;  // no -0
  std::vector<std::byte> bytes(values.size() * io::size_of(dtype));
  io::narrow(dtype, positive, bytes);
  if (expected["values"].get<std::string>().starts_with("sha256:")) {
    CHECK(sha256_of(bytes) == expected["values"].get<std::string>());
    return;
  }
  const auto theirs = array_of<std::uint8_t>(expected["values"]);
  std::vector<float> widened(values.size());
  REQUIRE(theirs.size() == bytes.size());
  io::widen(dtype, std::as_bytes(std::span(theirs)), widened);
  CHECK(values == widened);  // 0 and -0 are equal
}

void check_case(const Scheme& scheme, const Json& expected) {
  const auto input = expected["input"].get<std::string>();
  INFO(scheme.name << ", " << input);
  const Matrix matrix = input_named(input);
  if (expected.contains("refused")) {
    const ErrorDetail error = loraproof::test::input_error_of([&] { scheme.make(matrix.shape); });
    CHECK(!error.expected.empty());
    CHECK(!error.hint.empty());
    return;
  }
  const auto quantiser = scheme.make(matrix.shape);
  CHECK(quantiser->result_dtype() == dtype_of(expected["dtype"]));
  CHECK(quantiser->stored_bytes() == expected["bytes"].get<std::uint64_t>());
  CHECK(quantiser->stored_as() == expected.value("stored_as", std::string()));
  const Result result = quantise(*quantiser, matrix, 1);
  check_values(expected, quantiser->result_dtype(), result.values);
  check_array(expected, "codes", result.stored.codes);
  check_array(expected, "scales", result.stored.scales);
  check_array(expected, "scale_codes", result.stored.scale_codes);
  check_array(expected, "zeros", result.stored.zeros);
  check_array(expected, "tensor_scales", quantiser->tensor_scales());
}

}  // namespace

TEST_CASE("every scheme makes of small matrices what its library makes") {
  CHECK(document()["schemes"].size() == schemes().size());
  for (const Scheme& scheme : schemes()) {
    const std::string name(scheme.name);
    INFO(name);
    REQUIRE(document()["schemes"].contains(name));
    for (const Json& expected : document()["schemes"][name]) check_case(scheme, expected);
  }
}

}  // namespace loraproof::quant::test
