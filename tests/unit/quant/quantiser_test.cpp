// SPDX-License-Identifier: Apache-2.0
// What holds for every scheme: blocks of rows change nothing, dequantised values lie near the
// weights, misuse is an internal Error; and values by hand for some.
#include "loraproof/quant/quantiser.h"

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "loraproof/core/error.h"
#include "support/catch.h"
#include "support/errors.h"
#include "unit/quant/matrix.h"

namespace loraproof::quant::test {
namespace {

std::vector<float> normal_values(std::size_t count) {
  std::mt19937 random(3);
  std::vector<float> values(count);
  for (float& value : values)  // a sum of uniform numbers: the same on every machine
    value =
        (static_cast<float>(random() % 4096) + static_cast<float>(random() % 4096) - 4095) / 65536;
  return values;
}

Matrix normal_matrix(std::int64_t rows, std::int64_t columns, io::DType dtype) {
  return matrix_of({rows, columns, dtype}, normal_values(static_cast<std::size_t>(rows * columns)));
}

void expect_internal_error(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Internal);
    return;
  }
  FAIL("no error");
}

}  // namespace

TEST_CASE("a matrix in blocks of rows gives what it gives at once") {
  const io::DType dtype = GENERATE(io::DType::BF16, io::DType::F32);
  const Matrix matrix = normal_matrix(256, 512, dtype);
  for (const Scheme& scheme : schemes()) {
    INFO(scheme.name);
    const Result whole = quantise(scheme.name, matrix, 256);
    const Result parts = quantise(scheme.name, matrix, 7);
    CHECK(whole.values == parts.values);
    CHECK(whole.stored.codes == parts.stored.codes);
    CHECK(whole.stored.scales == parts.stored.scales);
    CHECK(whole.stored.scale_codes == parts.stored.scale_codes);
    CHECK(whole.stored.zeros == parts.stored.zeros);
    CHECK(whole.tally.values == 256 * 512);
    CHECK(whole.tally.clipped == parts.tally.clipped);
  }
}

TEST_CASE("rows dequantised by several threads at once are those of one") {
  const Matrix matrix = normal_matrix(256, 256, io::DType::BF16);
  for (const char* scheme : {"nf4-dq", "int4", "fp8-block", "nvfp4", "q4_k"}) {
    INFO(scheme);
    const auto quantiser = find_scheme(scheme).make(matrix.shape);
    const Result alone = quantise(*quantiser, matrix, 256);
    const std::size_t half = alone.values.size() / 2 * io::size_of(quantiser->result_dtype());
    std::vector<std::byte> out(2 * half);
    std::array<Tally, 2> tallies;
    const auto work = [&](std::size_t i) {
      const auto first = static_cast<std::int64_t>(128 * i);
      quantiser->dequantise(first, matrix.rows(first, 128), std::span(out).subspan(i * half, half),
                            tallies[i]);
    };
    std::thread other(work, 1);
    work(0);
    other.join();
    std::vector<float> values(alone.values.size());
    io::widen(quantiser->result_dtype(), out, values);
    CHECK(values == alone.values);
    CHECK(tallies[0].values + tallies[1].values == alone.tally.values);
  }
}

TEST_CASE("blocks that don't end with a row change nothing either") {
  const Matrix matrix = normal_matrix(37, 77, io::DType::BF16);
  for (const char* scheme : {"nf4", "fp4-dq"}) {
    INFO(scheme);
    CHECK(find_scheme(scheme).make(matrix.shape)->row_step() == 64);
    CHECK(quantise(scheme, matrix, 1).values == quantise(scheme, matrix, 37).values);
  }
}

TEST_CASE("what a scheme leaves of weights is as far from them as it is known to be") {
  // Relative root of mean squares for Gaussian weights: design notes, measured with the libraries.
  // Ours are a sum of two uniform numbers, with shorter tails: less is left.
  const Matrix matrix = normal_matrix(256, 512, io::DType::F32);
  std::vector<float> weights(256 * 512);
  io::widen(io::DType::F32, matrix.bytes, weights);
  const std::pair<const char*, double> known[] = {
      {"int8", 0.0074}, {"fp8", 0.0264},  {"q8_0", 0.0054}, {"q6_k", 0.0177}, {"q5_k", 0.036},
      {"q4_k", 0.071},  {"q4_0", 0.086},  {"nf4", 0.0917},  {"int4", 0.100},  {"int4-sym", 0.112},
      {"nvfp4", 0.095}, {"mxfp4", 0.112}, {"fp16", 0.0003}, {"bf16", 0.002}};
  for (const auto& [scheme, most] : known) {
    INFO(scheme);
    const Result result = quantise(scheme, matrix);
    double squares = 0, left = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      squares += std::pow(weights[i], 2.0);
      left += std::pow(result.values[i] - static_cast<double>(weights[i]), 2.0);
    }
    CHECK(std::sqrt(left / squares) < 1.05 * most);
    CHECK(std::sqrt(left / squares) > 0.3 * most);
  }
}

TEST_CASE("int8 by hand: the largest magnitude / 127.5, ties to even, clipped at 127") {
  const Matrix matrix = matrix_of({1, 4, io::DType::F32}, {255.0F, -255.0F, 3.0F, 5.0F});
  const Result result = quantise("int8", matrix);
  CHECK(result.stored.scales == std::vector{2.0F});
  CHECK(result.stored.codes == std::vector<std::uint8_t>{127, 0x80, 2, 2});
  CHECK(result.values == std::vector{254.0F, -256.0F, 4.0F, 4.0F});
  CHECK(result.tally.clipped == 1);
}

TEST_CASE("int4 by hand: zero is always a code") {
  std::vector<float> values(32, 15.0F);
  values[1] = 7.0F;
  const Result result = quantise("int4-g32", matrix_of({1, 32, io::DType::F32}, values));
  CHECK(result.stored.scales == std::vector{1.0F});
  CHECK(result.stored.zeros == std::vector<std::int8_t>{-8});
  CHECK(result.stored.codes[0] == 7);
  CHECK(result.stored.codes[1] == 0xFF);
  CHECK(result.values == values);
}

TEST_CASE("q8_0 by hand: ties away from zero") {
  std::vector<float> values(32, 0.0F);
  values[0] = 127.0F;
  values[1] = 2.5F;
  values[2] = -2.5F;
  const Result result = quantise("q8_0", matrix_of({1, 32, io::DType::F32}, values));
  CHECK(result.stored.codes[0] == 0x00);  // 1.0 in F16
  CHECK(result.stored.codes[1] == 0x3C);
  CHECK(result.values[1] == 3.0F);
  CHECK(result.values[2] == -3.0F);
}

TEST_CASE("what a cast makes infinite and what was not finite are counted apart") {
  const float infinity = std::numeric_limits<float>::infinity();
  const Matrix matrix = matrix_of({2, 4, io::DType::F32},
                                  {1.0F, 7e4F, -1e9F, infinity, NAN, 65504.0F, 0.0F, 65519.0F});
  const Result result = quantise("fp16", matrix);
  CHECK(result.tally.values == 8);
  CHECK(result.tally.overflowed == 2);
  CHECK(result.tally.non_finite == 2);
  CHECK(result.values[5] == 65504.0F);
  CHECK(quantise("llm-int8", matrix).tally.overflowed == 2);
}

TEST_CASE("values that are not finite spoil no more than their block") {
  std::vector<float> values = normal_values(4 * 256);
  values[5] = NAN;
  values[6] = std::numeric_limits<float>::infinity();
  const Matrix matrix = matrix_of({4, 256, io::DType::F32}, values);
  for (const Scheme& scheme : schemes()) {
    if (scheme.name == "fp8-block") continue;  // needs tiles
    INFO(scheme.name);
    const Result result = quantise(scheme.name, matrix, 1);
    CHECK(result.tally.non_finite == 2);
    const bool whole =
        scheme.name.ends_with("-dq") || scheme.name == "fp8-tensor" || scheme.name == "nvfp4";
    if (!whole) CHECK(std::isfinite(result.values[300]));
  }
}

TEST_CASE("rows that a type does not divide are stored in another one") {
  const auto stored_as = [](const char* scheme, std::int64_t columns) {
    return std::string(find_scheme(scheme).make({4, columns, io::DType::BF16})->stored_as());
  };
  CHECK(stored_as("q4_k", 512).empty());
  CHECK(stored_as("q4_k", 96) == "q5_0");
  CHECK(stored_as("q5_k", 96) == "q5_1");
  CHECK(stored_as("q6_k", 96) == "q8_0");
  CHECK(stored_as("q6_k", 77) == "f16");
  CHECK(stored_as("q8_0", 77) == "f16");
  CHECK(stored_as("nf4", 77).empty());
}

TEST_CASE("a shape that the library does not quantise is refused, with what would do") {
  const ErrorDetail group = loraproof::test::input_error_of([] {
    find_scheme("int4-g64").make({4, 96, io::DType::BF16});
  });
  CHECK(group.expected == "a multiple of 64 columns");
  CHECK(group.found == "96");
  const ErrorDetail tile = loraproof::test::input_error_of([] {
    find_scheme("fp8-block").make({130, 256, io::DType::BF16});
  });
  CHECK(tile.expected == "multiples of 128 rows and columns");
  CHECK(tile.found == "[130, 256]");
  const ErrorDetail half = loraproof::test::input_error_of([] {
    find_scheme("nvfp4").make({4, 24, io::DType::BF16});
  });
  CHECK(half.expected == "a multiple of 16 columns");
}

TEST_CASE("weights of other types are refused") {
  for (const Scheme& scheme : schemes()) {
    const ErrorDetail error = loraproof::test::input_error_of([&] {
      scheme.make({128, 256, io::DType::I8});
    });
    CHECK(error.found == "I8");
  }
}

TEST_CASE("what is quantised before it is surveyed, or surveyed twice, is our own mistake") {
  const Matrix matrix = normal_matrix(8, 256, io::DType::BF16);
  std::vector<std::byte> out(matrix.bytes.size());
  Tally tally;
  for (const char* scheme : {"nf4-dq", "fp8-tensor", "nvfp4"}) {
    INFO(scheme);
    const auto quantiser = find_scheme(scheme).make(matrix.shape);
    REQUIRE(quantiser->needs_survey());
    quantiser->survey(0, matrix.rows(0, 4));
    expect_internal_error([&] { quantiser->dequantise(0, matrix.rows(0, 8), out, tally); });
    quantiser->survey(4, matrix.rows(4, 4));
    quantiser->dequantise(0, matrix.rows(0, 8), out, tally);
    expect_internal_error([&] { quantiser->survey(0, matrix.rows(0, 4)); });
  }
}

TEST_CASE(
    "blocks that begin between tiles, end beyond the matrix or don't fit their room are our own "
    "mistake") {
  const Matrix matrix = normal_matrix(256, 128, io::DType::BF16);
  std::vector<std::byte> out(matrix.bytes.size());
  Tally tally;
  const auto quantiser = find_scheme("fp8-block").make(matrix.shape);
  expect_internal_error([&] { quantiser->dequantise(64, matrix.rows(0, 128), out, tally); });
  expect_internal_error([&] { quantiser->dequantise(0, matrix.rows(0, 100), out, tally); });
  expect_internal_error([&] { quantiser->dequantise(256, matrix.rows(0, 128), out, tally); });
  expect_internal_error([&] { quantiser->dequantise(0, matrix.rows(0, 128), out, tally); });
}

}  // namespace loraproof::quant::test
