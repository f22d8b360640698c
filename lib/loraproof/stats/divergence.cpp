// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace loraproof::stats {
namespace {

// One bin's p (log p - log q); a bin without mass in p adds nothing (0 log 0 = 0).
double term(double log_p, double log_q) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (log_p == -kInfinity) return std::isnan(log_q) ? log_q : 0.0;
  // Before exp(): a mass that underflows times an infinite ratio would be NaN.
  if (log_q == -kInfinity) return std::isnan(log_p) ? log_p : kInfinity;
  return std::exp(log_p) * (log_p - log_q);
}

}  // namespace

double kl_top_k(std::span<const float> p, float p_tail, std::span<const float> q, float q_tail) {
  double kl = term(p_tail, q_tail);
  for (std::size_t i = 0; i < p.size(); ++i) kl += term(p[i], q[i]);
  return std::isnan(kl) ? kl : std::max(kl, 0.0);
}

}  // namespace loraproof::stats
