// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/count_tails.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <numbers>
#include <random>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "support/catch.h"

namespace loraproof::stats {
namespace {

const Json& oracle() {
  static const Json kOracle = read_json_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) /
                                             "golden/values/count_tails.json");
  return kOracle;
}

constexpr double kPromised = 2e-12;  // by the header, for counts up to 1e12 and p down to 1e-300

double error(double found, const Json& expected) {
  const auto number = expected.get<double>();
  return std::abs(found - number) / number;
}

double largest_error(const CountTails& tails, const Json& each) {
  return std::max({error(tails.point, each.at("point")), error(tails.lower, each.at("lower")),
                   error(tails.upper, each.at("upper")),
                   error(tails.two_sided_mid_p(), each.at("two_sided"))});
}

CountTails hypergeometric(const Json& each) {
  return hypergeometric_tails({each.at("total"), each.at("marked"), each.at("drawn")},
                              each.at("k"));
}

CountTails binomial(const Json& each) {
  return binomial_tails(each.at("n"), each.at("p"), each.at("k"));
}

TwoShares shares_of(const Json& each) {
  const auto total = each.at("total").get<std::int64_t>();
  const auto marked = each.at("marked").get<std::int64_t>();
  const auto drawn = each.at("drawn").get<std::int64_t>();
  const auto k = each.at("k").get<std::int64_t>();
  return {marked - k, total - drawn, k, drawn};
}

// What other tools use: z = (b/m - a/n) / sqrt(r (1 - r) (1/n + 1/m)) with the pooled share r. Here
// only to show how far off it is.
double normal_p(const TwoShares& shares) {
  const double n = static_cast<double>(shares.n), m = static_cast<double>(shares.m);
  const double hits = static_cast<double>(shares.a + shares.b);
  const double pooled = hits / (n + m);
  const double variance = pooled * (1 - pooled) * (1 / n + 1 / m);
  const double z =
      (static_cast<double>(shares.b) / m - static_cast<double>(shares.a) / n) / std::sqrt(variance);
  return std::erfc(std::abs(z) / std::numbers::sqrt2);
}

}  // namespace

TEST_CASE("hypergeometric tails equal mpmath's") {
  REQUIRE(oracle().at("hypergeometric").size() > 150);
  for (const Json& each : oracle().at("hypergeometric")) {
    INFO(each.dump());
    CHECK(largest_error(hypergeometric(each), each) < kPromised);
    CHECK(error(fisher_mid_p(shares_of(each)), each.at("two_sided")) < kPromised);
  }
}

TEST_CASE("binomial tails equal mpmath's") {
  REQUIRE(oracle().at("binomial").size() > 60);
  for (const Json& each : oracle().at("binomial")) {
    INFO(each.dump());
    CHECK(largest_error(binomial(each), each) < kPromised);
    CHECK(binomial_probability(each.at("n"), each.at("p"), each.at("k")) == binomial(each).point);
  }
}

// Prints the table of docs/drift_statistics.md.
TEST_CASE("largest relative errors of tails by size", "[.][errors]") {
  std::map<int, std::array<double, 2>> exact;  // by power of ten: hypergeometric, binomial
  // The normal form, by powers of ten of the smaller expectation: p from 0.01, 1e-8 and 1e-20 on.
  std::map<int, std::array<double, 3>> normal;
  const auto power = [](double x) { return static_cast<int>(std::floor(std::log10(x) + 1e-9)); };
  for (const Json& each : oracle().at("hypergeometric")) {
    double& worst = exact[power(each.at("total"))][0];
    worst = std::max(worst, largest_error(hypergeometric(each), each));
    const TwoShares shares = shares_of(each);
    const double expected = static_cast<double>(shares.a + shares.b) /
                            static_cast<double>(shares.n + shares.m) *
                            static_cast<double>(std::min(shares.n, shares.m));
    const double p = each.at("two_sided"), ratio = normal_p(shares) / p;
    if (expected < 25 || p < 1e-20) continue;
    double& factor = normal[power(expected)][p >= 0.01 ? 0 : p >= 1e-8 ? 1 : 2];
    factor = std::max({factor, ratio, 1 / ratio});
  }
  for (const Json& each : oracle().at("binomial")) {
    double& worst = exact[power(each.at("n"))][1];
    worst = std::max(worst, largest_error(binomial(each), each));
  }
  for (const auto& [size, worst] : exact)
    std::printf("| 1e%d | %.0e | %.0e |\n", size, worst[0], worst[1]);
  for (const auto& [size, factor] : normal)
    std::printf("| 1e%d | %.3f | %.3f | %.3g |\n", size, factor[0], factor[1], factor[2]);
}

TEST_CASE("tails worked out by hand") {
  // Lady tasting tea: 4 of 8 cups, all right with probability 1 / C(8, 4).
  const CountTails tea = hypergeometric_tails({.total = 8, .marked = 4, .drawn = 4}, 4);
  CHECK(tea.point == Approx(1.0 / 70));
  CHECK(tea.lower == Approx(1));
  CHECK(tea.upper == Approx(1.0 / 70));
  CHECK(fisher_mid_p({.a = 0, .n = 4, .b = 4, .m = 4}) == Approx(1.0 / 70));
  const CountTails coins = binomial_tails(3, 0.5, 1);
  CHECK(coins.point == Approx(3.0 / 8));
  CHECK(coins.lower == Approx(0.5));
  CHECK(coins.upper == Approx(7.0 / 8));
}

TEST_CASE("counts outside of the support, and distributions without spread") {
  const Draw draw{.total = 10, .marked = 8, .drawn = 5};  // support 3..5
  CHECK(hypergeometric_tails(draw, 2).point == 0);
  CHECK(hypergeometric_tails(draw, 2).lower == 0);
  CHECK(hypergeometric_tails(draw, 2).upper == 1);
  CHECK(hypergeometric_tails(draw, 6).lower == 1);
  CHECK(hypergeometric_tails(draw, 6).upper == 0);
  CHECK(hypergeometric_tails(draw, 3).lower == Approx(56.0 / 252));
  for (const Draw sure : {Draw{0, 0, 0}, Draw{10, 0, 5}, Draw{10, 10, 5}, Draw{10, 4, 0}}) {
    const std::int64_t value = std::min(sure.marked, sure.drawn);
    CHECK(hypergeometric_tails(sure, value).point == 1);
    CHECK(hypergeometric_tails(sure, value).two_sided_mid_p() == 1);
    CHECK(hypergeometric_tails(sure, value + 1).point == 0);
  }
  CHECK(binomial_tails(0, 0.3, 0).point == 1);
  CHECK(binomial_tails(7, 0, 0).point == 1);
  CHECK(binomial_tails(7, 1, 7).point == 1);
  CHECK(binomial_tails(7, 1, 6).upper == 1);
  CHECK(binomial_tails(7, 0.3, -1).lower == 0);
  CHECK(binomial_tails(7, 0.3, 8).lower == 1);
  CHECK(binomial_probability(7, 0.3, 8) == 0);
  CHECK(binomial_tails(7, 1e-310, 0).point == 1);
}

TEST_CASE("empty sides and tokens of every or no prompt say nothing") {
  for (const TwoShares shares :
       {TwoShares{0, 0, 3, 10}, TwoShares{3, 10, 0, 0}, TwoShares{0, 0, 0, 0},
        TwoShares{0, 10, 0, 20}, TwoShares{10, 10, 20, 20}}) {
    CHECK(fisher_mid_p(shares) == 1);
  }
}

TEST_CASE("impossible counts are internal errors") {
  CHECK_THROWS_AS(hypergeometric_tails({.total = 5, .marked = 6, .drawn = 1}, 0), Error);
  CHECK_THROWS_AS(hypergeometric_tails({.total = 5, .marked = 1, .drawn = -1}, 0), Error);
  CHECK_THROWS_AS(hypergeometric_tails({std::int64_t{1} << 60, 1, 1}, 0), Error);
  CHECK_THROWS_AS(binomial_tails(-1, 0.5, 0), Error);
  CHECK_THROWS_AS(binomial_tails(5, std::nan(""), 0), Error);
  CHECK_THROWS_AS(fisher_mid_p({.a = 3, .n = 2, .b = 0, .m = 5}), Error);
  CHECK_THROWS_AS(fisher_mid_p({.a = -1, .n = 2, .b = 2, .m = 5}), Error);
}

TEST_CASE("tails add up, agree with their mirror image and never leave 0..1") {
  std::mt19937_64 random(9);
  const auto below = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random() % (static_cast<std::uint64_t>(most) + 1));
  };
  for (int round = 0; round < 3000; ++round) {
    const std::int64_t n = 1 + below(round % 3 == 0 ? 40 : 4'000'000);
    const std::int64_t m = 1 + below(round % 2 == 0 ? 40 : 4'000'000);
    const TwoShares shares{below(n), n, below(m), m};
    const Draw draw{n + m, shares.a + shares.b, m};
    const CountTails tails = hypergeometric_tails(draw, shares.b);
    CHECK(tails.lower + tails.upper - tails.point == Approx(1).epsilon(1e-12));
    CHECK(std::min({tails.point, tails.lower, tails.upper}) >= 0);
    CHECK(std::max({tails.point, tails.lower, tails.upper}) <= 1);
    const double p = fisher_mid_p(shares);
    CHECK(p <= 1);
    const double mirrored = fisher_mid_p({shares.b, m, shares.a, n});
    CHECK(std::abs(p - mirrored) <= 1e-11 * p);
  }
}

TEST_CASE("a whole distribution adds up across the change from sums to integrals") {
  // Deviation 100 and more: tails at each k differ by exactly its probability.
  const Draw draw{.total = 400'000, .marked = 60'000, .drawn = 150'000};
  CountTails before = hypergeometric_tails(draw, 21'999);
  for (std::int64_t k = 22'000; k < 23'000; ++k) {
    const CountTails here = hypergeometric_tails(draw, k);
    CHECK(std::abs(before.lower + here.point - here.lower) <= 1e-12 * here.lower);
    CHECK(std::abs(here.upper + before.point - before.upper) <= 1e-12 * before.upper);
    before = here;
  }
}

}  // namespace loraproof::stats
