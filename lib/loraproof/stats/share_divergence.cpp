// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/share_divergence.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <numeric>

#include "loraproof/core/error.h"
#include "loraproof/stats/deviance.h"

namespace loraproof::stats {
namespace {

// p ln(p / q) - p + q: adds up to KL when both sides add up to 1.
double divergence_term(double p, double q) {
  if (q == 0) return p == 0 ? 0 : std::numeric_limits<double>::infinity();
  return deviance(p, q, p - q);
}

double sum_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// One side: raw shares, smoothed ones, and what smoothing leaves of a raw share.
struct Side {
  double n = 0;
  std::vector<double> raw;
  std::vector<double> smoothed;
  double kept = 1;
};

Side side_of(std::span<const double> sums, std::int64_t n, double smoothing) {
  Side side{.n = static_cast<double>(n), .raw = {}, .smoothed = {}};
  const double mass = sum_of(sums);
  const double all = mass + smoothing * static_cast<double>(sums.size());
  side.kept = mass / all;
  for (const double sum : sums) {
    side.raw.push_back(sum / mass);
    side.smoothed.push_back((sum + smoothing) / all);
  }
  return side;
}

std::vector<double> pooled(const Side& a, const Side& b) {
  std::vector<double> result(a.smoothed.size());
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = (a.n * a.smoothed[i] + b.n * b.smoothed[i]) / (a.n + b.n);
  return result;
}

// d_i / pooled share; 0 for a group without mass.
std::vector<double> relative_differences(const Side& a, const Side& b,
                                         std::span<const double> share) {
  std::vector<double> result(share.size());
  for (std::size_t i = 0; i < result.size(); ++i)
    if (share[i] > 0) result[i] = (a.smoothed[i] - b.smoothed[i]) / share[i];
  return result;
}

// s'Ds: smoothing draws the smaller side closer to equal shares.
double smoothing_shift(const Side& a, const Side& b, std::span<const double> share) {
  double sum = 0;
  for (std::size_t i = 0; i < share.size(); ++i) {
    if (share[i] == 0) continue;
    const double raw = (a.n * a.raw[i] + b.n * b.raw[i]) / (a.n + b.n);
    const double shift = (a.kept - b.kept) * (raw - 1 / static_cast<double>(share.size()));
    sum += shift * shift / share[i];
  }
  return sum;
}

// What the debiasing needs to know of the covariance V of the smoothed difference.
struct Noise {
  double trace = 0;         // tr(DV)
  double square_trace = 0;  // tr((DV)^2)
  double along = 0;         // d'DVDd
};

Noise noise_of(const MomentSums& reference, const MomentSums& window, const Side& a, const Side& b,
               std::span<const double> share) {
  const std::vector<double> v1 = covariance(reference), v2 = covariance(window);
  const std::vector<double> relative = relative_differences(a, b, share);
  const double weight1 = a.kept * a.kept / a.n, weight2 = b.kept * b.kept / b.n;
  const std::size_t groups = share.size();
  Noise noise;
  for (std::size_t i = 0; i < groups; ++i) {
    if (share[i] == 0) continue;
    for (std::size_t j = 0; j < groups; ++j) {
      if (share[j] == 0) continue;
      const double v = weight1 * v1[i * groups + j] + weight2 * v2[i * groups + j];
      if (i == j) noise.trace += v / share[i];
      noise.square_trace += v / share[i] * (v / share[j]);
      noise.along += relative[i] * v * relative[j];
    }
  }
  return noise;
}

// V = diag(v) - alpha p p' - beta q q' with v = alpha p + beta q, when each prompt is one draw.
Noise noise_of_draws(const Side& a, const Side& b, std::span<const double> share) {
  const std::vector<double> relative = relative_differences(a, b, share);
  const double alpha = a.kept * a.kept / (a.n - 1), beta = b.kept * b.kept / (b.n - 1);
  double diagonal = 0, diagonal_square = 0, diagonal_along = 0;
  double pp = 0, qq = 0, pq = 0, p_along = 0, q_along = 0, cross = 0;
  for (std::size_t i = 0; i < share.size(); ++i) {
    if (share[i] == 0) continue;
    const double p = a.raw[i], q = b.raw[i];
    const double v = alpha * p + beta * q;
    diagonal += v / share[i];
    diagonal_square += v / share[i] * (v / share[i]);
    diagonal_along += v * relative[i] * relative[i];
    pp += p * p / share[i];
    qq += q * q / share[i];
    pq += p * q / share[i];
    p_along += p * relative[i];
    q_along += q * relative[i];
    cross += v / share[i] * (alpha * p * p + beta * q * q) / share[i];
  }
  return {.trace = diagonal - alpha * pp - beta * qq,
          .square_trace = diagonal_square - 2 * cross + alpha * alpha * pp * pp +
                          beta * beta * qq * qq + 2 * alpha * beta * pq * pq,
          .along = diagonal_along - alpha * p_along * p_along - beta * q_along * q_along};
}

DebiasedDivergences debias(const Divergences& plain, const Noise& noise, double shift) {
  DebiasedDivergences result;
  // Both are sums of squares; rounding may leave them a little below 0.
  const double variance = 4 * std::max(noise.along, 0.0) + 2 * std::max(noise.square_trace, 0.0);
  result.no_drift_psi = std::max(noise.trace, 0.0) + shift;
  result.psi = plain.psi - result.no_drift_psi;
  result.kl_reference_window = plain.kl_reference_window - result.no_drift_psi / 2;
  result.kl_window_reference = plain.kl_window_reference - result.no_drift_psi / 2;
  result.psi_standard_error = std::sqrt(variance);
  result.kl_standard_error = result.psi_standard_error / 2;
  return result;
}

std::vector<double> reals(std::span<const std::int64_t> counts) {
  return {counts.begin(), counts.end()};
}

}  // namespace

Divergences divergences(std::span<const double> reference, std::span<const double> window) {
  if (reference.size() != window.size())
    throw internal_error({.message = "two sets of groups of different size"});
  Divergences result;
  double js = 0, hellinger = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double p = reference[i], q = window[i], middle = (p + q) / 2;
    const double forth = divergence_term(p, q), back = divergence_term(q, p);
    result.psi += forth + back;
    result.kl_reference_window += forth;
    result.kl_window_reference += back;
    result.total_variation += std::abs(p - q) / 2;
    js += (divergence_term(p, middle) + divergence_term(q, middle)) / 2;
    const double roots = std::sqrt(p) + std::sqrt(q);
    if (roots > 0) hellinger += (p - q) / roots * ((p - q) / roots) / 2;
  }
  result.js_distance = std::min(1.0, std::sqrt(js / std::numbers::ln2));
  result.hellinger = std::min(1.0, std::sqrt(hellinger));
  return result;
}

std::optional<GroupDivergence> group_divergence(const MomentSums& reference,
                                                const MomentSums& window,
                                                const ShareOptions& options) {
  check(reference);
  check(window);
  const auto empty = [](const MomentSums& sums) { return sums.n < 1 || !(sum_of(sums.sum) > 0); };
  if (empty(reference) || empty(window)) return std::nullopt;
  const Side a = side_of(reference.sum, reference.n, options.smoothing);
  const Side b = side_of(window.sum, window.n, options.smoothing);
  GroupDivergence result{a.smoothed, b.smoothed, divergences(a.smoothed, b.smoothed), {}};
  if (reference.n < 2 || window.n < 2) return result;
  const std::vector<double> share = pooled(a, b);
  result.debiased =
      debias(result.plain, noise_of(reference, window, a, b, share), smoothing_shift(a, b, share));
  return result;
}

std::optional<GroupDivergence> count_divergence(std::span<const std::int64_t> reference,
                                                std::span<const std::int64_t> window,
                                                const ShareOptions& options) {
  const std::vector<double> counts1 = reals(reference), counts2 = reals(window);
  const double n = sum_of(counts1), m = sum_of(counts2);
  if (n == 0 || m == 0) return std::nullopt;
  const Side a = side_of(counts1, static_cast<std::int64_t>(n), options.smoothing);
  const Side b = side_of(counts2, static_cast<std::int64_t>(m), options.smoothing);
  GroupDivergence result{a.smoothed, b.smoothed, divergences(a.smoothed, b.smoothed), {}};
  if (n < 2 || m < 2) return result;
  const std::vector<double> share = pooled(a, b);
  result.debiased = debias(result.plain, noise_of_draws(a, b, share), smoothing_shift(a, b, share));
  return result;
}

std::optional<SketchTest> group_shift_test(const MomentSums& reference, const MomentSums& window) {
  check(reference);
  check(window);
  const std::size_t groups = reference.sum.size();
  if (window.sum.size() != groups)
    throw internal_error({.message = "two sets of groups of different size"});
  const double mass = sum_of(reference.sum) + sum_of(window.sum);
  std::vector<double> scale(groups);
  for (std::size_t i = 0; i < groups; ++i) {
    const double both = reference.sum[i] + window.sum[i];
    if (both > 0) scale[i] = std::sqrt(mass / both);
  }
  const auto scaled = [&](const MomentSums& sums, std::vector<double>& sum,
                          std::vector<double>& cross) {
    for (std::size_t i = 0; i < groups; ++i) {
      sum.push_back(sums.sum[i] * scale[i]);
      for (std::size_t j = 0; j < groups; ++j)
        cross.push_back(sums.cross[i * groups + j] * scale[i] * scale[j]);
    }
    return MomentSums{sums.n, sum, cross};
  };
  std::vector<double> sum1, cross1, sum2, cross2;
  return sketch_test(scaled(reference, sum1, cross1), scaled(window, sum2, cross2));
}

}  // namespace loraproof::stats
