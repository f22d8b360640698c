// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/interval.h"

#include <cmath>
#include <filesystem>
#include <random>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/stats/paired.h"
#include "support/catch.h"

namespace loraproof::stats {
namespace {

Json oracle() {
  return read_json_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) /
                        "golden/values/intervals.json");
}

constexpr double kExact = 1e-9;  // special functions of two libraries

}  // namespace

TEST_CASE("exact intervals of a share equal scipy's") {
  for (const Json& each : oracle().at("exact_share")) {
    const Interval interval = exact_share(each.at("successes").get<std::int64_t>(),
                                          each.at("n").get<std::int64_t>(), each.at("level"));
    CHECK(interval.low == Approx(each.at("low").get<double>()).epsilon(kExact).margin(1e-15));
    CHECK(interval.high == Approx(each.at("high").get<double>()).epsilon(kExact));
  }
  CHECK(exact_share(0, 0, 0.95).low == 0);
  CHECK(exact_share(0, 0, 0.95).high == 1);
}

TEST_CASE("McNemar and the interval of the excess equal their oracles") {
  for (const Json& each : oracle().at("paired")) {
    const Flips flips{each.at("lost"), each.at("gained"), each.at("n")};
    CHECK(mcnemar_p(flips) == Approx(each.at("p").get<double>()).epsilon(kExact));
    const Interval interval = excess_interval(flips, each.at("level"));
    CHECK(interval.low == Approx(each.at("low").get<double>()).epsilon(kExact));
    CHECK(interval.high == Approx(each.at("high").get<double>()).epsilon(kExact));
  }
  CHECK(Flips{3, 1, 40}.excess() == Approx(0.05));
  CHECK(Flips{}.excess() == 0);
  CHECK(mcnemar_p({5, 0, 40}) == Approx(1.0 / 32));  // five heads in a row
}

TEST_CASE("the bootstrap agrees with scipy's within the error of 2,000 resamples") {
  for (const Json& each : oracle().at("bootstrap")) {
    const auto top = each.at("numerators").get<std::vector<double>>();
    const auto bottom = each.at("denominators").get<std::vector<double>>();
    const Bootstrap ours = bootstrap_ratio(top, bottom, {});
    const double error = each.at("standard_error").get<double>();
    // The standard error of a 2.5 % quantile of 2,000 normal draws is 0.06 standard deviations.
    CHECK(std::abs(ours.interval.low - each.at("low").get<double>()) < 0.25 * error);
    CHECK(std::abs(ours.interval.high - each.at("high").get<double>()) < 0.25 * error);
    CHECK(ours.standard_error == Approx(error).epsilon(0.08));
  }
}

TEST_CASE("a bootstrap is repeatable, and its seed matters") {
  const std::vector<double> values = {0.1, 0.4, 0.2, 0.9, 0.3};
  const Bootstrap a = bootstrap_mean(values, {.seed = 1}), b = bootstrap_mean(values, {.seed = 1});
  CHECK(a.interval.low == b.interval.low);
  CHECK(a.standard_error == b.standard_error);
  CHECK(a.standard_error != bootstrap_mean(values, {.seed = 2}).standard_error);
}

TEST_CASE("constant samples have no spread, NaN is carried, nothing is refused") {
  const std::vector<double> same(7, 0.25);
  const Bootstrap bootstrap = bootstrap_mean(same, {});
  CHECK(bootstrap.interval.low == 0.25);
  CHECK(bootstrap.interval.high == 0.25);
  CHECK(bootstrap.standard_error == 0);
  const std::vector<double> bad = {0.1, std::nan("")};
  CHECK(std::isnan(bootstrap_mean(bad, {}).interval.low));
  CHECK_THROWS_AS(bootstrap_mean({}, {}), Error);
  const std::vector<double> ones = {1, 1}, zeros = {0, 0};
  CHECK_THROWS_AS(bootstrap_ratio(ones, zeros, {}), Error);
}

TEST_CASE("an interval holds the truth about as often as it says") {
  // 400 samples of 40 from an exponential distribution of mean 1. The percentile interval of a
  // skewed mean is known to cover a little less than 95 %.
  std::mt19937_64 random(5);
  int covered = 0;
  for (int round = 0; round < 400; ++round) {
    std::vector<double> values;
    for (int i = 0; i < 40; ++i)
      values.push_back(-std::log1p(-std::ldexp(static_cast<double>(random() >> 11), -53)));
    const Interval interval =
        bootstrap_mean(values, {.resamples = 500, .seed = static_cast<std::uint64_t>(round)})
            .interval;
    covered += interval.low <= 1 && 1 <= interval.high;
  }
  CHECK(covered >= 352);  // 88 %
}

TEST_CASE("smallest effects equal their formulas") {
  for (const Json& each : oracle().at("smallest")) {
    CHECK(smallest_share(each.at("n"), each.at("power")) ==
          Approx(each.at("share").get<double>()).epsilon(kExact));
    CHECK(smallest_mean(1, each.at("alpha"), each.at("power")) ==
          Approx(each.at("standard_errors").get<double>()).epsilon(kExact));
  }
  CHECK(smallest_share(0, 0.8) == 1);
  CHECK(smallest_mean(0, 0.05, 0.8) == 0);
}

}  // namespace loraproof::stats
