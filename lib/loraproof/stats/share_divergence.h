// SPDX-License-Identifier: Apache-2.0
// How far apart two sets of shares are, in the numbers people know (PSI, KL and others), and what
// of it is noise: expectation without drift and standard error, with prompts as the units.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "loraproof/stats/moments.h"
#include "loraproof/stats/sketch_test.h"

namespace loraproof::stats {

/// Between reference shares p and window shares q. Infinite where one side has mass that the other
/// lacks (PSI, KL); never NaN.
struct Divergences {
  double psi = 0;                  ///< sum (p - q) ln(p / q), population stability index
  double kl_reference_window = 0;  ///< sum p ln(p / q), nats
  double kl_window_reference = 0;  ///< sum q ln(q / p), nats: extra cost of coding the window
  double js_distance = 0;          ///< sqrt of the Jensen-Shannon divergence in bits, 0..1
  double total_variation = 0;      ///< sum |p - q| / 2, 0..1
  double hellinger = 0;            ///< sqrt(1 - sum sqrt(p q)), 0..1
};

/// Shares of equal number, at least 0, each side adding up to 1. Terms are taken so that nearly
/// equal shares lose no digits.
[[nodiscard]] Divergences divergences(std::span<const double> reference,
                                      std::span<const double> window);

/// PSI and KL less what noise and smoothing alone make of them. To second order in the difference
/// d = p - q of the estimated shares, PSI = d'Dd and KL = d'Dd / 2 either way, D = diag(1 / pooled
/// share). Without drift d has covariance V and a mean from smoothing, s, that is 0 for sides of
/// equal size. So
///   E PSI = tr(DV) + s'Ds,   Var PSI = 4 d'DVDd + 2 tr((DV)^2),
/// and for KL half the expectation and half the standard error. May be negative.
struct DebiasedDivergences {
  double psi = 0;
  double kl_reference_window = 0;
  double kl_window_reference = 0;
  double psi_standard_error = 0;
  double kl_standard_error = 0;  ///< of both directions
  double no_drift_psi = 0;       ///< E PSI, already taken off
};

struct GroupDivergence {
  std::vector<double> reference;  ///< smoothed shares, [B]
  std::vector<double> window;
  Divergences plain;
  std::optional<DebiasedDivergences> debiased;  ///< nullopt: fewer than 2 prompts on a side
};

struct ShareOptions {
  double smoothing = 0.5;  ///< added to the sum of each group (Jeffreys)
};

/// Shares of B groups from the moments of per-prompt shares: each prompt is a vector that adds up
/// to 1 (prompts without tokens are left out). A group's share is (sum + smoothing) / (n +
/// smoothing B), V the covariance over prompts. nullopt when a side has no prompt.
[[nodiscard]] std::optional<GroupDivergence> group_divergence(const MomentSums& reference,
                                                              const MomentSums& window,
                                                              const ShareOptions& options = {});

/// The same for categories: every prompt is in exactly one. Equal to group_divergence with the
/// counts as sums and on the diagonal, in time linear in the number of categories.
[[nodiscard]] std::optional<GroupDivergence> count_divergence(
    std::span<const std::int64_t> reference, std::span<const std::int64_t> window,
    const ShareOptions& options = {});

/// Are the groups' shares different at all? sketch_test on per-prompt shares over the root of the
/// pooled share, so that T estimates PSI without smoothing. Groups that no prompt has are left out
/// of account.
[[nodiscard]] std::optional<SketchTest> group_shift_test(const MomentSums& reference,
                                                         const MomentSums& window);

}  // namespace loraproof::stats
