// SPDX-License-Identifier: Apache-2.0
// Counts of two sides in the same order, as the tests of stats want them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loraproof/drift/profile.h"
#include "loraproof/stats/moments.h"

namespace loraproof::drift {

struct PairedCounts {
  std::vector<std::int32_t> ids;  ///< token ids or cells, ascending
  std::vector<std::int64_t> reference;
  std::vector<std::int64_t> window;
};

/// Units that hold each token that either side lists. A sealed side doesn't list tokens in fewer
/// than its min_prompts units: such a count could be anything below, and the one nearest to the
/// other side's share stands for it, so that sealing hides differences but makes none.
[[nodiscard]] PairedCounts token_frequencies(const Counts& reference, const Counts& window);
/// The same for bigram cells.
[[nodiscard]] PairedCounts bigram_frequencies(const Counts& reference, const Counts& window);
/// Occurrences. Neither side may be sealed.
[[nodiscard]] PairedCounts token_occurrences(const Counts& reference, const Counts& window);

struct PairedValues {
  std::vector<std::string> values;  ///< "(other)" and "(missing)" last, if there are any
  std::vector<std::int64_t> reference;
  std::vector<std::int64_t> window;
};
/// Values of one feature; with a sealed side those that one of them doesn't list are "(other)".
[[nodiscard]] PairedValues feature_values(const Feature& reference, const Feature& window,
                                          bool sealed);

/// Moments of the units that have tokens, as doubles; `view` refers to the other members.
struct Moments {
  std::vector<double> sum;
  std::vector<double> cross;
  std::int64_t n = 0;
  [[nodiscard]] stats::MomentSums view() const { return {n, sum, cross}; }
};
[[nodiscard]] Moments sketch_moments(const Counts& side);
[[nodiscard]] Moments group_moments(const Counts& side);

}  // namespace loraproof::drift
