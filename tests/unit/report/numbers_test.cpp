// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/numbers.h"

#include <cmath>

#include "support/catch.h"

namespace loraproof::report {

TEST_CASE("numbers take four digits unless a comparison needs more") {
  CHECK(format_number(0.0123456) == "0.01235");
  CHECK(format_number(1.25e-6) == "1.25e-06");
  CHECK(format_number(20) == "20");
  CHECK(format_number(std::nan("")) == "nan");
  CHECK(digits_to_tell_apart(0.69, 0.015) == 4);
  CHECK(digits_to_tell_apart(1, 1) == 4);
  CHECK(digits_to_tell_apart(std::nan(""), 1) == 4);
  CHECK(digits_to_tell_apart(INFINITY, 1) == 4);
  CHECK(digits_to_tell_apart(0.99986, 0.9997) == 5);
  CHECK(digits_to_tell_apart(0.999949, 0.99995) == 6);
  CHECK(digits_to_tell_apart(0.5, std::nextafter(0.5, 1.0)) == 16);
  CHECK(digits_to_tell_apart(0.1234, 0.123400001) == 9);
}

TEST_CASE("digits of a value serve both bounds") {
  CHECK(digits_for(0.5, std::nullopt) == 4);
  CHECK(digits_for(std::nullopt, Limit{.min = 0.1}) == 4);
  CHECK(digits_for(0.999949, Limit{.min = 0.99995, .max = 2}) == 6);
  CHECK(digits_for(0.999949, Limit{.min = -2, .max = 0.99995}) == 6);
}

}  // namespace loraproof::report
