// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/interval.h"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "loraproof/core/error.h"

namespace loraproof::stats {
namespace {

// std::uniform_int_distribution differs between libraries; the high bits of a product do not. Its
// bias is below n / 2^64.
std::size_t draw(std::mt19937_64& random, std::size_t n) {
  const auto product = static_cast<unsigned __int128>(random()) * n;
  return static_cast<std::size_t>(product >> 64);
}

// Linear interpolation between order statistics (the default of numpy.quantile).
double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double standard_deviation(const std::vector<double>& values) {
  double mean = 0, squares = 0;
  for (double value : values) mean += value;
  mean /= static_cast<double>(values.size());
  for (double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

bool all_finite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

}  // namespace

Bootstrap bootstrap_ratio(std::span<const double> numerators, std::span<const double> denominators,
                          const IntervalOptions& options) {
  const std::size_t n = numerators.size();
  const bool countable = std::ranges::any_of(denominators, [](double d) { return d != 0; });
  if (n == 0 || denominators.size() != n || options.resamples < 2 || !countable) {
    throw internal_error({.message = "nothing to resample"});
  }
  if (!all_finite(numerators) || !all_finite(denominators)) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    return {.interval = {kNan, kNan}, .standard_error = kNan};
  }
  std::mt19937_64 random(options.seed);
  std::vector<double> ratios;
  ratios.reserve(static_cast<std::size_t>(options.resamples));
  while (static_cast<std::int64_t>(ratios.size()) < options.resamples) {
    double top = 0, bottom = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t pick = draw(random, n);
      top += numerators[pick];
      bottom += denominators[pick];
    }
    if (bottom != 0) ratios.push_back(top / bottom);
  }
  std::ranges::sort(ratios);
  const double outside = (1 - options.level) / 2;
  return {.interval = {quantile(ratios, outside), quantile(ratios, 1 - outside)},
          .standard_error = standard_deviation(ratios)};
}

Bootstrap bootstrap_mean(std::span<const double> values, const IntervalOptions& options) {
  const std::vector<double> ones(values.size(), 1.0);
  return bootstrap_ratio(values, ones, options);
}

Interval exact_share(std::int64_t successes, std::int64_t n, double level) {
  if (n == 0) return {0, 1};
  const auto k = static_cast<double>(successes);
  const auto total = static_cast<double>(n);
  const double outside = (1 - level) / 2;
  using Beta = boost::math::beta_distribution<>;
  return {successes == 0 ? 0 : boost::math::quantile(Beta(k, total - k + 1), outside),
          successes == n ? 1 : boost::math::quantile(Beta(k + 1, total - k), 1 - outside)};
}

double smallest_share(std::int64_t n, double power) {
  return n == 0 ? 1 : -std::expm1(std::log1p(-power) / static_cast<double>(n));
}

double smallest_mean(double standard_error, double alpha, double power) {
  const boost::math::normal_distribution<> normal;
  return standard_error *
         (boost::math::quantile(normal, 1 - alpha) + boost::math::quantile(normal, power));
}

}  // namespace loraproof::stats
