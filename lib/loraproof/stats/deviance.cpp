// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/deviance.h"

#include <cmath>

namespace loraproof::stats {

double deviance(double x, double expected, double deviation) {
  if (x == 0) return expected;
  const double v = deviation / (x + expected);
  if (std::abs(v) >= 0.1) return x * std::log(x / expected) - deviation;
  // ln(x / expected) = 2 artanh(v) = 2 (v + v^3/3 + v^5/5 + ...), and 2 x v - deviation =
  // deviation v. What is left out is below v^20 of the whole, or v^8 where v is small.
  const double square = v * v;
  double series = 0;
  for (int odd = std::abs(v) < 0.01 ? 9 : 21; odd >= 3; odd -= 2)
    series = series * square + 1.0 / odd;
  return v * (deviation + 2 * x * square * series);
}

}  // namespace loraproof::stats
