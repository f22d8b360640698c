// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/json_number.h"

#include <limits>

#include "support/catch.h"

namespace loraproof {

TEST_CASE("a figure in JSON is a finite number or null") {
  CHECK(number_or_null(1.5).dump() == "1.5");
  CHECK(number_or_null(-0.0).dump() == "-0.0");
  CHECK(number_or_null(std::nullopt).is_null());
  for (const double none :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    CHECK(number_or_null(none).is_null());
  }
}

}  // namespace loraproof
