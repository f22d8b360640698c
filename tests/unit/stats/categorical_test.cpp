// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/categorical.h"

#include <random>
#include <vector>

#include "drift_oracle.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::stats {
namespace {

using Counts = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("tests of categories equal scipy's, after pooling by hand") {
  for (const Json& each : drift_oracle("categories")) {
    INFO(each.at("name").get<std::string>());
    const auto test = compare_categories(each.at("a").get<Counts>(), each.at("b").get<Counts>());
    REQUIRE(test);
    CHECK(test->tested == each.at("tested").get<std::size_t>());
    CHECK(test->exact == each.at("exact").get<bool>());
    check_equal(each.at("chi_square"), test->chi_square);
    check_equal(each.at("degrees_of_freedom"), test->degrees_of_freedom);
    check_equal(each.at("cramers_v"), test->cramers_v);
    check_p(each.at("p"), test->p);
  }
}

TEST_CASE("pooling is counted") {
  const auto test = compare_categories(Counts{100, 80, 3, 2, 1, 0}, Counts{90, 90, 4, 0, 6, 5});
  CHECK(test->categories == 6);
  CHECK(test->pooled == 4);
  CHECK(test->tested == 3);
  CHECK(compare_categories(Counts{40, 1, 0}, Counts{30, 0, 5})->pooled == 2);
  CHECK(compare_categories(Counts{40, 40}, Counts{30, 50})->pooled == 0);
}

TEST_CASE("empty sides have no test; one category, or proportional counts, say nothing") {
  CHECK_FALSE(compare_categories({}, {}));
  CHECK_FALSE(compare_categories(Counts{0, 0}, Counts{1, 2}));
  CHECK_FALSE(compare_categories(Counts{1, 2}, Counts{0, 0}));
  for (const auto& [a, b] :
       {std::pair{Counts{5}, Counts{900}}, std::pair{Counts{0, 1}, Counts{0, 1}}}) {
    const auto test = compare_categories(a, b);
    REQUIRE(test);
    CHECK(test->p == 1);
    CHECK(test->degrees_of_freedom == 0);
    CHECK_FALSE(test->exact);
  }
  CHECK(compare_categories(Counts{20, 40}, Counts{30, 60})->p == 1);
  CHECK_THROWS_AS(compare_categories(Counts{1}, Counts{1, 2}), Error);
  CHECK_THROWS_AS(compare_categories(Counts{-1}, Counts{1}), Error);
}

TEST_CASE("without drift p below .05 is rare, with many rare categories too") {
  std::mt19937 random(6);
  std::geometric_distribution<std::size_t> category(0.1);
  int alarms = 0;
  for (int round = 0; round < 500; ++round) {
    Counts a(80), b(80);
    for (int i = 0; i < 300; ++i) ++a[std::min<std::size_t>(category(random), 79)];
    for (int i = 0; i < 60; ++i) ++b[std::min<std::size_t>(category(random), 79)];
    alarms += compare_categories(a, b)->p < 0.05;
  }
  CHECK(alarms <= 40);  // 8 %
}

}  // namespace loraproof::stats
