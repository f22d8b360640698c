// SPDX-License-Identifier: Apache-2.0
// What a figure over n samples is worth: intervals, and the smallest effect that n samples could
// have shown. Samples are prompts; tokens of one prompt are not independent, so they are resampled
// together.
#pragma once

#include <cstdint>
#include <span>

namespace loraproof::stats {

struct IntervalOptions {
  double level = 0.95;            ///< two-sided coverage, between 0 and 1
  std::int64_t resamples = 2000;  ///< of the bootstrap
  std::uint64_t seed = 0;
};

struct Interval {
  double low = 0;
  double high = 0;
};

struct Bootstrap {
  Interval interval;          ///< percentile interval (Efron 1979)
  double standard_error = 0;  ///< standard deviation of the resampled figure
};

/// Bootstrap of sum(numerators) / sum(denominators), pairs drawn together: a mean when every
/// denominator is 1, a share of tokens when each pair is one prompt. The same input and seed give
/// the same bits on every machine. Sizes must be equal and not 0; a resample whose denominators sum
/// to 0 is drawn again. NaN in, NaN out.
[[nodiscard]] Bootstrap bootstrap_ratio(std::span<const double> numerators,
                                        std::span<const double> denominators,
                                        const IntervalOptions& options);
[[nodiscard]] Bootstrap bootstrap_mean(std::span<const double> values,
                                       const IntervalOptions& options);

/// Exact interval of a share, `successes` of `n` (Clopper and Pearson 1934). n = 0: [0, 1].
[[nodiscard]] Interval exact_share(std::int64_t successes, std::int64_t n, double level);

/// The smallest true share of failures that shows at least once among `n` samples with probability
/// `power`: 1 - (1 - power)^(1/n). n = 0: 1.
[[nodiscard]] double smallest_share(std::int64_t n, double power);

/// The smallest true mean that a one-sided test at `alpha` finds with probability `power`, when the
/// figure's standard error is `standard_error`: (z(1 - alpha) + z(power)) standard errors.
[[nodiscard]] double smallest_mean(double standard_error, double alpha, double power);

}  // namespace loraproof::stats
