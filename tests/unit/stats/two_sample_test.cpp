// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/two_sample.h"

#include <cmath>
#include <vector>

#include "drift_oracle.h"
#include "loraproof/core/json.h"

namespace loraproof::stats {
namespace {

using Values = std::vector<double>;

RatioSums sums_of(const Values& x, const Values& y) {
  RatioSums sums;
  for (std::size_t i = 0; i < x.size(); ++i) {
    ++sums.n;
    sums.x += x[i];
    sums.y += y[i];
    sums.xx += x[i] * x[i];
    sums.xy += x[i] * y[i];
    sums.yy += y[i] * y[i];
  }
  return sums;
}

ValueSums sums_of(const Values& x) {
  ValueSums sums;
  for (const double value : x) {
    ++sums.n;
    sums.sum += value;
    sums.squares += value * value;
  }
  return sums;
}

}  // namespace

TEST_CASE("ratios from sums equal residuals of the rows") {
  for (const Json& each : drift_oracle("two_samples").at("ratios")) {
    INFO(each.at("name").get<std::string>());
    const RatioSums reference = sums_of(each.at("x1").get<Values>(), each.at("y1").get<Values>());
    const RatioSums window = sums_of(each.at("x2").get<Values>(), each.at("y2").get<Values>());
    check_equal(each.at("value"), ratio(window)->value);
    check_equal(each.at("value_standard_error"), *ratio(window)->standard_error);
    const auto score = compare_ratios_pooled(reference, window);
    REQUIRE(score);
    check_equal(each.at("difference"), score->difference);
    check_equal(each.at("score"), score->statistic);
    check_p(each.at("score_p"), score->p);
    CHECK(score->degrees_of_freedom == INFINITY);
  }
}

TEST_CASE("a small window with none of what is rare is no surprise to the score test") {
  const Values few(100, 0.0), ones(100, 1.0);
  Values many(10'000, 0.0);
  for (std::size_t i = 0; i < 200; ++i) many[i] = 1;
  const Values all(10'000, 1.0);
  // By hand: residual variance 0.0198 * 0.9802, mean difference 0.02.
  const auto test = compare_ratios_pooled(sums_of(many, all), sums_of(few, ones));
  CHECK(test->statistic == Approx(-0.02 / std::sqrt(0.0198 * 0.9802 * 0.0101)).epsilon(1e-3));
  CHECK(test->p > 0.1);
}

TEST_CASE("equal constants are no difference, a side without values no test") {
  const RatioSums same = sums_of(Values{1, 1, 1}, Values{2, 2, 2});
  CHECK(compare_ratios_pooled(same, same)->p == 1);
  CHECK_FALSE(compare_ratios_pooled(same, {}));
}

TEST_CASE("means equal scipy's Welch test") {
  for (const Json& each : drift_oracle("two_samples").at("means")) {
    INFO(each.at("name").get<std::string>());
    const auto test =
        compare_means(sums_of(each.at("x").get<Values>()), sums_of(each.at("y").get<Values>()));
    REQUIRE(test);
    check_equal(each.at("difference"), test->difference);
    check_equal(each.at("statistic"), test->statistic);
    check_equal(each.at("degrees_of_freedom"), test->degrees_of_freedom);
    check_p(each.at("p"), test->p);
  }
}

TEST_CASE("a ratio needs something to divide by, its error two prompts") {
  CHECK_FALSE(ratio({}));
  CHECK_FALSE(ratio(sums_of({0, 0}, {0, 0})));
  const auto one = ratio(sums_of({1}, {4}));
  REQUIRE(one);
  CHECK(one->value == 0.25);
  CHECK_FALSE(one->standard_error);
  CHECK_FALSE(compare_ratios_pooled({}, sums_of({1, 2}, {4, 5})));
  CHECK_FALSE(compare_means(sums_of({1}), sums_of({1, 2})));
  CHECK_FALSE(compare_means({}, {}));
}

TEST_CASE("what never varies is equal or different for sure") {
  // A third of every prompt, in prompts of different length: no spread but rounding.
  const RatioSums third = sums_of({1, 2, 5, 0.1}, {3, 6, 15, 0.3});
  CHECK(*ratio(third)->standard_error == 0);
  CHECK(compare_ratios_pooled(third, third)->p == 1);
  CHECK(compare_ratios_pooled(third, sums_of({7, 9}, {21, 27}))->p == 1);
  const RatioSums never = sums_of({0, 0, 0}, {5, 6, 7});
  CHECK(compare_ratios_pooled(never, never)->p == 1);
  CHECK(compare_ratios_pooled(never, never)->statistic == 0);
  CHECK(compare_means(sums_of({0.1, 0.1, 0.1}), sums_of(Values(7, 0.1)))->p == 1);
  CHECK(compare_means(sums_of({0.1, 0.1, 0.1}), sums_of(Values(7, 0.2)))->p == 0);
}

TEST_CASE("huge counts") {
  const double n = 1e12;
  // Half the values 1, half 3: variance 1. The other side is 5e-6 higher: 2.5 standard errors.
  const ValueSums low{1'000'000'000'000, 2 * n, 5 * n};
  const double up = 5e-6;
  const ValueSums high{1'000'000'000'000, (2 + up) * n, (5 + 4 * up + up * up) * n};
  const auto test = compare_means(low, high);
  REQUIRE(test);
  CHECK(test->statistic == Approx(up / std::sqrt(2 / n)).epsilon(1e-6));
  CHECK(test->p == Approx(std::erfc(test->statistic / std::sqrt(2))).epsilon(1e-6));
}

}  // namespace loraproof::stats
