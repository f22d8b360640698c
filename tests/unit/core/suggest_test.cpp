// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/suggest.h"

#include <vector>

#include "support/catch.h"

namespace loraproof {

TEST_CASE("the nearest name is the one of the fewest edits") {
  const std::vector<std::string> names = {"validate", "inspect", "merge", "golden.kl_answer.max"};
  CHECK(nearest_name("validat", names) == "validate");
  CHECK(nearest_name("vaildate", names) == "validate");
  CHECK(nearest_name("inspekt", names) == "inspect");
  CHECK(nearest_name("golden.kl_anser.mx", names) == "golden.kl_answer.max");
  CHECK(nearest_name("merge", names) == "merge");
}

TEST_CASE("a name that is near to nothing gets no suggestion") {
  const std::vector<std::string> names = {"validate", "inspect"};
  CHECK(nearest_name("frobnicate", names).empty());
  CHECK(nearest_name("", names).empty());
  CHECK(nearest_name("validate", {}).empty());
  // The limit: a third of the name's length, at least two.
  CHECK(nearest_name("valid", names).empty());
  CHECK(nearest_name("valida", names) == "validate");
}

TEST_CASE("of equally near names the first of the table is suggested") {
  const std::vector<std::string> names = {"min", "max"};
  CHECK(nearest_name("mix", names) == "min");
}

}  // namespace loraproof
