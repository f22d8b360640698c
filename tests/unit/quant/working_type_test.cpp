// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/working_type.h"

#include <cmath>
#include <vector>

#include "loraproof/io/narrow.h"
#include "support/catch.h"

namespace loraproof::quant {

TEST_CASE("values are rounded to the type of the weights, also more than a buffer of them") {
  std::vector<float> values(3000, 1.00390625F);  // 1 + 2^-8: between two BF16
  round_to(io::DType::BF16, values);
  for (const float value : values) REQUIRE(value == 1.0F);
  CHECK(io::rounded_to(io::DType::BF16, 1.01171875F) ==
        1.015625F);  // 1 + 3 * 2^-8: up to the even one
  CHECK(io::rounded_to(io::DType::F16, 1.00390625F) == 1.00390625F);
  CHECK(std::isinf(rounded_to(io::DType::F16, 65520.0F)));
  CHECK(io::rounded_to(io::DType::F32, 0.1F) == 0.1F);
}

TEST_CASE("epsilon and the least normal number are those of the type") {
  for (const io::DType dtype : {io::DType::BF16, io::DType::F16, io::DType::F32}) {
    CHECK(io::rounded_to(dtype, 1 + epsilon_of(dtype)) == 1 + epsilon_of(dtype));
    CHECK(io::rounded_to(dtype, 1 + epsilon_of(dtype) / 2) == 1);
    CHECK(io::rounded_to(dtype, smallest_normal_of(dtype)) == smallest_normal_of(dtype));
  }
  CHECK(smallest_normal_of(io::DType::F16) == 6.103515625e-05F);
}

TEST_CASE("the nearest integer, ties to even") {
  for (int i = -1000; i <= 1000; ++i) {
    const float value = static_cast<float>(i) / 4;
    CHECK(nearest_integer(value) == std::nearbyint(value));
  }
  CHECK(std::isnan(nearest_integer(NAN)));
}

TEST_CASE("NaN is the largest magnitude") {
  CHECK(largest_magnitude(std::vector{1.0F, -3.0F, 2.0F}) == 3.0F);
  CHECK(std::isnan(largest_magnitude(std::vector{1.0F, NAN, INFINITY})));
  CHECK(largest_magnitude({}) == 0.0F);
}

}  // namespace loraproof::quant
