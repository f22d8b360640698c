// SPDX-License-Identifier: Apache-2.0
// Has a rate or a mean moved between two sets of prompts? From sums that add up over any partition;
// prompts are the units, however many tokens each has.
#pragma once

#include <cstdint>
#include <optional>

namespace loraproof::stats {

/// Sums over n prompts of x (what is counted) and y (out of what): unseen tokens out of tokens.
struct RatioSums {
  std::int64_t n = 0;
  double x = 0;
  double y = 0;
  double xx = 0;
  double xy = 0;
  double yy = 0;
};

struct Ratio {
  double value = 0;                      ///< sum x / sum y
  std::optional<double> standard_error;  ///< nullopt: one prompt
};

/// Ratio estimator with its cluster-robust standard error sqrt(n / (n - 1) sum (x - r y)^2) / sum y
/// (Cochran 1977, section 2.11). nullopt when there is no prompt, or sum y is not above 0.
[[nodiscard]] std::optional<Ratio> ratio(const RatioSums& sums);

/// Sums over n prompts of one value, such as the log of a length.
struct ValueSums {
  std::int64_t n = 0;
  double sum = 0;
  double squares = 0;
};

/// A difference and how surely it is not 0. Where nothing varies on either side, p is 1 for equal
/// values and 0 for others, and the statistic 0 or an infinity.
struct TwoSampleTest {
  double difference = 0;  ///< window minus reference
  double standard_error = 0;
  double statistic = 0;           ///< difference / standard_error
  double degrees_of_freedom = 0;  ///< of Welch's t; +inf for z; 0 when nothing varies
  double p = 1;                   ///< two-sided
};

/// Two ratios by the score test of "both sides are alike": the residuals x - r y of the pooled
/// ratio r have one variance, and z is their difference of means over it. A z test from the two
/// standard errors instead alarms where one side is small and happens to have none of what the
/// other has a little of. The difference is that of the ratios; its standard error is scaled to
/// belong to z. nullopt when a side has no ratio.
[[nodiscard]] std::optional<TwoSampleTest> compare_ratios_pooled(const RatioSums& reference,
                                                                 const RatioSums& window);

/// Welch's (1947) t test of two means. On logs, exp(difference) is the ratio of geometric means.
/// nullopt with fewer than 2 values on a side.
[[nodiscard]] std::optional<TwoSampleTest> compare_means(const ValueSums& reference,
                                                         const ValueSums& window);

}  // namespace loraproof::stats
