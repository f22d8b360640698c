// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/multiple_testing.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "loraproof/core/error.h"

namespace loraproof::stats {
namespace {

void check(std::span<const double> p) {
  if (!std::ranges::all_of(p, [](double each) { return each >= 0 && each <= 1; }))
    throw internal_error({.message = "a p-value outside of [0, 1]"});
}

std::vector<std::size_t> ascending(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return p[i]; });
  return order;
}

}  // namespace

std::vector<double> benjamini_hochberg_sorted(std::span<const double> p) {
  check(p);
  std::vector<double> q(p.size());
  const auto tests = static_cast<double>(p.size());
  double least = 1;
  for (std::size_t i = p.size(); i-- > 0;) {
    least = std::min(least, p[i] * tests / static_cast<double>(i + 1));
    q[i] = least;
  }
  return q;
}

std::vector<double> holm(std::span<const double> p) {
  check(p);
  std::vector<double> adjusted(p.size());
  double largest = 0;
  std::size_t left = p.size();
  for (const std::size_t i : ascending(p)) {
    largest = std::max(largest, std::min(1.0, p[i] * static_cast<double>(left--)));
    adjusted[i] = largest;
  }
  return adjusted;
}

double window_level(double alpha, std::int64_t k) {
  if (k < 1) throw internal_error({.message = "windows are counted from 1"});
  const auto count = static_cast<double>(k);
  return 6 * alpha / (std::numbers::pi * std::numbers::pi * count * count);
}

double false_coverage_z(double alpha, std::int64_t selected, std::int64_t tests) {
  if (!(1 <= selected && selected <= tests && alpha > 0 && alpha < 1))
    throw internal_error({.message = "nothing was selected"});
  const double outside = alpha * static_cast<double>(selected) / (2 * static_cast<double>(tests));
  return boost::math::quantile(
      boost::math::complement(boost::math::normal_distribution<>(), outside));
}

double e_value(double p) {
  check({&p, 1});
  if (p == 0) return std::numeric_limits<double>::infinity();
  const double u = -std::log(p);  // (e^u - 1 - u) / u^2
  if (u < 0.01) return 0.5 + u * (1.0 / 6 + u * (1.0 / 24 + u * (1.0 / 120 + u * (1.0 / 720))));
  return (std::expm1(u) - u) / (u * u);
}

std::optional<double> mean_e_value(std::span<const double> p) {
  if (p.empty()) return std::nullopt;
  double sum = 0;
  for (const double each : p) sum += e_value(each);
  return sum / static_cast<double>(p.size());
}

void CumulativeSum::add(double z) { level = std::max(0.0, level + z - slack); }

}  // namespace loraproof::stats
