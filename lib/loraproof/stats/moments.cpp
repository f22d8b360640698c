// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/moments.h"

#include <cmath>
#include <cstddef>
#include <limits>

#include "loraproof/core/error.h"

namespace loraproof::stats {
namespace {

constexpr double kRounding = 16 * std::numeric_limits<double>::epsilon();

}  // namespace

void check(const MomentSums& sums) {
  if (sums.n < 0 || sums.cross.size() != sums.sum.size() * sums.sum.size())
    throw internal_error({.message = "sums and cross products do not fit"});
}

std::vector<double> mean(const MomentSums& sums) {
  if (sums.n < 1) throw internal_error({.message = "the mean of nothing"});
  std::vector<double> result(sums.sum.begin(), sums.sum.end());
  for (double& each : result) each /= static_cast<double>(sums.n);
  return result;
}

std::vector<double> covariance(const MomentSums& sums) {
  check(sums);
  if (sums.n < 2) throw internal_error({.message = "a covariance of fewer than two"});
  const std::size_t d = sums.sum.size();
  const auto n = static_cast<double>(sums.n);
  std::vector<bool> constant(d);
  for (std::size_t i = 0; i < d; ++i) {
    const double squares = sums.cross[i * d + i];
    constant[i] = squares - sums.sum[i] * sums.sum[i] / n <= kRounding * squares;
  }
  std::vector<double> result(d * d);
  for (std::size_t i = 0; i < d; ++i) {
    if (constant[i]) continue;
    for (std::size_t j = 0; j < d; ++j)
      if (!constant[j])
        result[i * d + j] = (sums.cross[i * d + j] - sums.sum[i] * sums.sum[j] / n) / (n - 1);
  }
  return result;
}

double clear_difference(double a, double b) {
  return std::abs(b - a) <= kRounding * (std::abs(a) + std::abs(b)) ? 0 : b - a;
}

}  // namespace loraproof::stats
