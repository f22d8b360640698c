// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/two_sample.h"

#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numbers>

#include "loraproof/stats/moments.h"

namespace loraproof::stats {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRounding = 16 * std::numeric_limits<double>::epsilon();

// A sum of squares that is a difference of numbers of size `scale`: what rounding leaves is 0.
double clear_squares(double squares, double scale) {
  return squares <= kRounding * scale ? 0 : squares;
}

TwoSampleTest test_of(double reference, double window, double variance) {
  TwoSampleTest test;
  test.difference = clear_difference(reference, window);
  test.standard_error = std::sqrt(variance);
  if (variance > 0) {
    test.statistic = test.difference / test.standard_error;
  } else if (test.difference != 0) {
    test.statistic = std::copysign(kInfinity, test.difference);
    test.p = 0;
  }
  return test;
}

}  // namespace

std::optional<Ratio> ratio(const RatioSums& sums) {
  if (sums.n < 1 || !(sums.y > 0)) return std::nullopt;
  Ratio result{.value = sums.x / sums.y, .standard_error = {}};
  if (sums.n < 2) return result;
  const double r = result.value, n = static_cast<double>(sums.n);
  const double squares =
      clear_squares(sums.xx - 2 * r * sums.xy + r * r * sums.yy, sums.xx + r * r * sums.yy);
  result.standard_error = std::sqrt(n / (n - 1) * squares) / sums.y;
  return result;
}

std::optional<TwoSampleTest> compare_ratios_pooled(const RatioSums& reference,
                                                   const RatioSums& window) {
  const std::optional<Ratio> a = ratio(reference), b = ratio(window);
  if (!a || !b) return std::nullopt;
  const double n = static_cast<double>(reference.n), m = static_cast<double>(window.n);
  const double xx = reference.xx + window.xx, xy = reference.xy + window.xy;
  const double yy = reference.yy + window.yy;
  const double r = (reference.x + window.x) / (reference.y + window.y);
  const double squares = clear_squares(xx - 2 * r * xy + r * r * yy, xx + r * r * yy);
  // All residuals add up to 0, so those of the window say everything.
  const double residual = clear_difference(r * window.y, window.x);
  const double error = std::sqrt(squares / (n + m - 1) * (1 / n + 1 / m));
  TwoSampleTest test;
  test.difference = clear_difference(a->value, b->value);
  const double mean_difference = residual * (1 / n + 1 / m);
  if (error > 0) {
    test.statistic = mean_difference / error;
    test.degrees_of_freedom = kInfinity;
    test.p = std::erfc(std::abs(test.statistic) / std::numbers::sqrt2);
    if (test.statistic != 0) test.standard_error = test.difference / test.statistic;
  } else if (test.difference != 0) {
    test.statistic = std::copysign(kInfinity, test.difference);
    test.p = 0;
  }
  return test;
}

std::optional<TwoSampleTest> compare_means(const ValueSums& reference, const ValueSums& window) {
  if (reference.n < 2 || window.n < 2) return std::nullopt;
  const double n = static_cast<double>(reference.n), m = static_cast<double>(window.n);
  const auto variance_of_mean = [](const ValueSums& sums, double count) {
    return clear_squares(sums.squares - sums.sum * sums.sum / count, sums.squares) / (count - 1) /
           count;
  };
  const double v1 = variance_of_mean(reference, n), v2 = variance_of_mean(window, m);
  TwoSampleTest test = test_of(reference.sum / n, window.sum / m, v1 + v2);
  if (v1 + v2 > 0) {
    // By shares of the variance, which cannot underflow.
    const double share1 = v1 / (v1 + v2), share2 = v2 / (v1 + v2);
    test.degrees_of_freedom = 1 / (share1 * share1 / (n - 1) + share2 * share2 / (m - 1));
    const boost::math::students_t_distribution<> t(test.degrees_of_freedom);
    test.p = 2 * boost::math::cdf(boost::math::complement(t, std::abs(test.statistic)));
  }
  return test;
}

}  // namespace loraproof::stats
