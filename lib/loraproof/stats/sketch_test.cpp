// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/sketch_test.h"

#include <algorithm>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <cstddef>

#include "loraproof/core/error.h"

namespace loraproof::stats {
namespace {

double trace(std::span<const double> matrix, std::size_t d) {
  double sum = 0;
  for (std::size_t i = 0; i < d; ++i) sum += matrix[i * d + i];
  return sum;
}

// tr(A B) of symmetric matrices.
double trace_of_product(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// tr V^2 without the bias of the plug-in, for a covariance with n - 1 = f degrees of freedom.
double trace_of_square(std::span<const double> v, double trace_v, std::int64_t n) {
  const double f = static_cast<double>(n) - 1;
  return f * f / ((f + 2) * (f - 1)) * (trace_of_product(v, v) - trace_v * trace_v / f);
}

double squared_distance(const MomentSums& reference, const MomentSums& window) {
  const std::vector<double> a = mean(reference), b = mean(window);
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = clear_difference(a[i], b[i]);
    sum += difference * difference;
  }
  return sum;
}

}  // namespace

std::optional<SketchTest> sketch_test(const MomentSums& reference, const MomentSums& window) {
  check(reference);
  check(window);
  const std::size_t d = reference.sum.size();
  if (window.sum.size() != d) throw internal_error({.message = "sketches of different size"});
  if (reference.n < 3 || window.n < 3) return std::nullopt;
  const std::vector<double> v1 = covariance(reference), v2 = covariance(window);
  const auto n = static_cast<double>(reference.n), m = static_cast<double>(window.n);
  const double trace1 = trace(v1, d), trace2 = trace(v2, d);

  SketchTest test;
  test.squared_distance = squared_distance(reference, window);
  test.expected = trace1 / n + trace2 / m;
  if (test.expected * test.expected == 0) {
    test.p = test.squared_distance == 0 ? 1 : 0;
    return test;
  }
  test.half_variance = trace_of_square(v1, trace1, reference.n) / (n * n) +
                       trace_of_square(v2, trace2, window.n) / (m * m) +
                       2 * trace_of_product(v1, v2) / (n * m);
  // No D x D covariance has less; the unbiased estimate may (n = 3).
  test.half_variance =
      std::max(test.half_variance, test.expected * test.expected / static_cast<double>(d));
  test.degrees_of_freedom = test.expected * test.expected / test.half_variance;
  const double scaled = test.squared_distance * test.expected / test.half_variance;
  test.p = boost::math::gamma_q(test.degrees_of_freedom / 2, scaled / 2);
  test.z = (test.squared_distance - test.expected) / std::sqrt(2 * test.half_variance);
  return test;
}

}  // namespace loraproof::stats
