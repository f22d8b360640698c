// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace loraproof::stats {

double kl_top_k(std::span<const float> p, float p_tail, std::span<const float> q) {
  // Log-probabilities in f32 leave about 1e-7 of rounding in 1 - sum(q): a tail of p below that
  // says nothing, and a tail of q at or below zero is held there instead of giving infinity.
  constexpr double kRounding = 1e-7;
  double kl = 0, q_top = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double log_p = p[i], log_q = q[i];
    q_top += std::exp(log_q);
    if (log_p != -std::numeric_limits<double>::infinity()) kl += std::exp(log_p) * (log_p - log_q);
  }
  const double p_rest = std::exp(static_cast<double>(p_tail));
  if (p_rest > kRounding) {
    kl += p_rest * (static_cast<double>(p_tail) - std::log(std::max(1.0 - q_top, kRounding)));
  }
  return std::isnan(kl) ? kl : std::max(kl, 0.0);
}

}  // namespace loraproof::stats
