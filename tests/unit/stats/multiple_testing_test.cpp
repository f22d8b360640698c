// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/multiple_testing.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "drift_oracle.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::stats {

TEST_CASE("Benjamini-Hochberg and Holm equal scipy's and statsmodels'") {
  for (const Json& each : drift_oracle("multiple").at("corrections")) {
    INFO(each.at("name").get<std::string>());
    const auto p = each.at("p").get<std::vector<double>>();
    const std::vector<double> adjusted = holm(p);
    REQUIRE(adjusted.size() == p.size());
    for (std::size_t i = 0; i < p.size(); ++i) check_p(each.at("holm").at(i), adjusted[i]);
    std::vector<std::pair<double, Json>> ascending;  // p and the oracle's q
    for (std::size_t i = 0; i < p.size(); ++i)
      ascending.emplace_back(p[i], each.at("benjamini_hochberg").at(i));
    std::ranges::stable_sort(ascending, {}, [](const auto& pair) { return pair.first; });
    std::vector<double> sorted;
    for (const auto& [value, expected] : ascending) sorted.push_back(value);
    const std::vector<double> q = benjamini_hochberg_sorted(sorted);
    REQUIRE(q.size() == p.size());
    for (std::size_t i = 0; i < p.size(); ++i) check_p(ascending[i].second, q[i]);
  }
  CHECK(benjamini_hochberg_sorted({}).empty());
  CHECK(holm({}).empty());
}

TEST_CASE("levels, bounds and e-values equal their oracles") {
  const Json oracle = drift_oracle("multiple");
  for (const Json& each : oracle.at("levels"))
    check_p(each.at("level"), window_level(each.at("alpha"), each.at("k")));
  for (const Json& each : oracle.at("bounds")) {
    const double z = false_coverage_z(each.at("alpha"), each.at("selected"), each.at("tests"));
    check_equal(each.at("bound"), std::abs(each.at("difference").get<double>()) -
                                      z * each.at("standard_error").get<double>());
  }
  for (const Json& each : oracle.at("e_values")) check_p(each.at("e"), e_value(each.at("p")));
}

TEST_CASE("the levels of all windows add up to alpha") {
  double sum = 0;
  for (std::int64_t k = 1; k <= 100'000; ++k) sum += window_level(0.05, k);
  CHECK(sum == Approx(0.05).epsilon(1e-4));
  CHECK(sum < 0.05);
  CHECK_THROWS_AS(window_level(0.05, 0), Error);
}

TEST_CASE("e-values fall with p, expect at most 1, and their mean is what counts") {
  CHECK(e_value(1) == 0.5);
  CHECK(e_value(0) == INFINITY);
  double before = INFINITY, expectation = 0;
  constexpr int kSteps = 100'000;
  for (int i = 1; i <= kSteps; ++i) {
    const double e = e_value(static_cast<double>(i) / kSteps);
    CHECK(e <= before);
    before = e;
    expectation += e / kSteps;  // below the integral, as e falls
  }
  CHECK(expectation < 1);
  CHECK(mean_e_value(std::vector<double>{1, 1, 1}) == 0.5);
  CHECK(mean_e_value(std::vector<double>{1, 0}) == INFINITY);
  CHECK_FALSE(mean_e_value({}));
}

TEST_CASE("p outside of 0..1 and empty selections are internal errors") {
  CHECK_THROWS_AS(benjamini_hochberg_sorted(std::vector<double>{0.1, std::nan("")}), Error);
  CHECK_THROWS_AS(holm(std::vector<double>{-0.1}), Error);
  CHECK_THROWS_AS(e_value(1.5), Error);
  CHECK_THROWS_AS(false_coverage_z(0.05, 0, 3), Error);
  CHECK_THROWS_AS(false_coverage_z(0.05, 4, 3), Error);
}

TEST_CASE("a cumulative sum forgets calm windows and finds creep") {
  CumulativeSum sum;
  for (int window = 0; window < 1000; ++window) {
    sum.add(0.4);
    CHECK(sum.level == 0);
  }
  sum.add(4);
  CHECK(sum.level == 3.5);
  sum.add(-1);
  CHECK(sum.level == 2);
  CumulativeSum creep;
  for (int window = 0; window < 11; ++window) creep.add(1);  // half a deviation each
  CHECK(creep.level == 5.5);
}

}  // namespace loraproof::stats
