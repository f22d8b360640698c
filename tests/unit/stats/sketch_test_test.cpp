// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/sketch_test.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "drift_oracle.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::stats {
namespace {

std::optional<SketchTest> test_rows(const Rows& reference, const Rows& window) {
  const OwnedSums a(reference), b(window);
  return sketch_test(a.view(), b.view());
}

void check_test(const Json& expected, const SketchTest& test) {
  check_equal(expected.at("squared_distance"), test.squared_distance);
  check_equal(expected.at("expected"), test.expected);
  check_equal(expected.at("half_variance"), test.half_variance);
  check_equal(expected.at("degrees_of_freedom"), test.degrees_of_freedom);
  check_equal(expected.at("z"), test.z);
  check_p(expected.at("p"), test.p);
}

}  // namespace

TEST_CASE("sketch tests from sums equal numpy's covariances of the rows") {
  for (const Json& each : drift_oracle("sketches").at("rows")) {
    INFO(each.at("name").get<std::string>());
    const auto test = test_rows(each.at("reference").get<Rows>(), each.at("window").get<Rows>());
    REQUIRE(test);
    check_test(each, *test);
  }
}

TEST_CASE("sketch tests of 256 dimensions equal their oracle") {
  for (const Json& each : drift_oracle("sketches").at("made_up")) {
    const std::size_t d = each.at("d");
    const auto test = test_rows(made_up(each.at("seeds").at(0), each.at("n"), d),
                                made_up(each.at("seeds").at(1), each.at("m"), d, each.at("add")));
    REQUIRE(test);
    check_test(each, *test);
  }
}

TEST_CASE("too few vectors give no test, constant ones a certain one") {
  const Rows three(3, {0.1, 0.7}), two(2, {0.1, 0.7}), more(7, {0.1, 0.7}), other(5, {0.1, 0.6});
  CHECK_FALSE(test_rows(three, two));
  CHECK_FALSE(test_rows(two, three));
  CHECK_FALSE(sketch_test(OwnedSums({}, 2).view(), OwnedSums(three).view()));
  // Sums of 0.1 differ in rounding between three and seven of them: still equal.
  CHECK(test_rows(three, more)->p == 1);
  CHECK(test_rows(three, more)->z == 0);
  CHECK(test_rows(three, other)->p == 0);
  CHECK(test_rows(three, other)->degrees_of_freedom == 0);
  CHECK(test_rows(Rows(4, {0.0}), Rows(4, {0.0}))->p == 1);
  CHECK_THROWS_AS(test_rows(three, Rows(3, {0.1})), Error);
  const std::vector<double> sum(2), cross(3);
  CHECK_THROWS_AS(sketch_test({3, sum, cross}, {3, sum, cross}), Error);
}

TEST_CASE("a sketch test does not depend on the split into parts, nor on the order of the axes") {
  const Rows a = made_up(5, 40, 4), b = made_up(6, 30, 4, 0.2);
  const SketchTest whole = *test_rows(a, b);
  OwnedSums left(Rows(a.begin(), a.begin() + 13)), right(Rows(a.begin() + 13, a.end()));
  for (std::size_t i = 0; i < left.sum.size(); ++i) left.sum[i] += right.sum[i];
  for (std::size_t i = 0; i < left.cross.size(); ++i) left.cross[i] += right.cross[i];
  left.n += right.n;
  CHECK(sketch_test(left.view(), OwnedSums(b).view())->p == Approx(whole.p).epsilon(1e-10));
  Rows turned_a = a, turned_b = b;
  for (Rows* rows : {&turned_a, &turned_b})
    for (auto& row : *rows) std::ranges::rotate(row, row.begin() + 1);
  CHECK(test_rows(turned_a, turned_b)->p == Approx(whole.p).epsilon(1e-10));
}

TEST_CASE("without a shift p below .05 is about as rare as it should be") {
  std::mt19937_64 random(2);
  int alarms = 0, found = 0;
  for (int round = 0; round < 400; ++round) {
    const Rows a = made_up(random(), 40, 12), b = made_up(random(), 25, 12);
    alarms += test_rows(a, b)->p < 0.05;
    found += test_rows(a, made_up(random(), 25, 12, 0.3))->p < 0.05;
  }
  CHECK(alarms <= 32);  // 8 %
  CHECK(alarms >= 6);
  CHECK(found >= 380);
}

}  // namespace loraproof::stats
