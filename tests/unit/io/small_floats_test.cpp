// SPDX-License-Identifier: Apache-2.0
// E4M3 and E2M1 by definition: the nearest value, ties to the even code.
#include "loraproof/io/small_floats.h"

#include "support/catch.h"

namespace loraproof::io {

TEST_CASE("known values of E4M3") {
  const auto& values = e4m3_values();
  CHECK(values[0x00] == 0.0F);
  CHECK(values[0x01] == 0x1p-9F);  // least subnormal
  CHECK(values[0x07] == 7 * 0x1p-9F);
  CHECK(values[0x08] == 0x1p-6F);  // least normal
  CHECK(values[0x38] == 1.0F);
  CHECK(values[0x39] == 1.125F);
  CHECK(values[0x7E] == 448.0F);
  CHECK(std::isnan(values[0x7F]));
  CHECK(values[0xFE] == -448.0F);
  CHECK(std::signbit(values[0x80]));
}

TEST_CASE("every value of E4M3 comes back, and between two the nearer one wins") {
  const auto& values = e4m3_values();
  for (int code = 0; code < 0x7F; ++code) {
    const float low = values[static_cast<std::size_t>(code)];
    CHECK(e4m3_bits(low) == code);
    CHECK(e4m3_bits(-low) == (code | 0x80));
    if (code == 0x7E) break;
    const float high = values[static_cast<std::size_t>(code) + 1];
    const float middle = (low + high) / 2;
    CHECK(e4m3_bits(middle) == (code % 2 == 0 ? code : code + 1));
    CHECK(e4m3_bits(std::nextafter(middle, 0.0F)) == code);
    CHECK(e4m3_bits(std::nextafter(middle, 500.0F)) == code + 1);
  }
  CHECK((e4m3_bits(NAN) & 0x7F) == 0x7F);
}

TEST_CASE("every value of E2M1 comes back, and between two the nearer one wins") {
  for (int code = 0; code < 8; ++code) {
    const float low = kE2m1Values[static_cast<std::size_t>(code)];
    CHECK(e2m1_bits(low) == code);
    if (code > 0) CHECK(e2m1_bits(-low) == (code | 8));
    if (code == 7) break;
    const float middle = (low + kE2m1Values[static_cast<std::size_t>(code) + 1]) / 2;
    CHECK(e2m1_bits(middle) == (code % 2 == 0 ? code : code + 1));
    CHECK(e2m1_bits(std::nextafter(middle, 0.0F)) == code);
    CHECK(e2m1_bits(std::nextafter(middle, 10.0F)) == code + 1);
  }
  CHECK(e2m1_bits(1e9F) == 7);
  CHECK(e2m1_bits(-0.1F) == 8);  // a zero that was below zero
  CHECK(e2m1_bits(-0.0F) == 0);
}

TEST_CASE("8 and 4 bit floats at their ends") {
  CHECK(e4m3_value(0x00) == 0.0f);
  CHECK(std::signbit(e4m3_value(0x80)));
  CHECK(e4m3_value(0x01) == 0x1p-9f);
  CHECK(e4m3_value(0x08) == 0x1p-6f);
  CHECK(e4m3_value(0x7e) == 448.0f);
  CHECK(e4m3_value(0xfe) == -448.0f);
  CHECK(std::isnan(e4m3_value(0x7f)));
  CHECK(std::isnan(e4m3_value(0xff)));
  CHECK(e5m2_value(0x7b) == 57344.0f);
  CHECK(e5m2_value(0x01) == 0x1p-16f);
  CHECK(std::isinf(e5m2_value(0x7c)));
  CHECK(e2m1_value(0x7) == 6.0f);
  CHECK(e2m1_value(0x9) == -0.5f);
  CHECK(e2m1_value(0xf7) == 6.0f);
}

}  // namespace loraproof::io
