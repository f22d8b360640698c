// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/paired.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>

#include "loraproof/stats/count_tails.h"

namespace loraproof::stats {

double Flips::excess() const {
  return n == 0 ? 0 : static_cast<double>(lost - gained) / static_cast<double>(n);
}

double mcnemar_p(const Flips& flips) {
  if (flips.lost == 0) return 1;
  return binomial_tails(flips.lost + flips.gained, 0.5, flips.lost).upper;
}

Interval excess_interval(const Flips& flips, double level) {
  const double lost = static_cast<double>(flips.lost) + 0.5;
  const double gained = static_cast<double>(flips.gained) + 0.5;
  const double n = static_cast<double>(flips.n) + 2;
  const double centre = (lost - gained) / n;
  const double z = boost::math::quantile(boost::math::normal_distribution<>(), (1 + level) / 2);
  const double half = z * std::sqrt((lost + gained) - (lost - gained) * (lost - gained) / n) / n;
  return {std::max(centre - half, -1.0), std::min(centre + half, 1.0)};
}

}  // namespace loraproof::stats
