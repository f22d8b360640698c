// SPDX-License-Identifier: Apache-2.0
// Drift per segment: each value of --by against the same value before.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loraproof/drift/compare.h"

namespace loraproof::drift {

struct SegmentComparison {
  std::string value;
  Comparison comparison;
};
/// Too small on a side to be compared; 0 units: that side doesn't have it.
struct UncomparedSegment {
  std::string value;
  std::int64_t reference_units = 0;
  std::int64_t window_units = 0;
};
struct SegmentComparisons {
  std::vector<SegmentComparison> compared;
  std::vector<UncomparedSegment> uncompared;
};

/// Compares the segments with min_units on both sides. `whole` is the comparison of all units: its
/// adjusted p are made anew, as the lenses of the whole and of all segments are one family for
/// Holm. A scan inside one of k segments works at level / k.
[[nodiscard]] SegmentComparisons compare_segments(const Profile& reference, const Profile& window,
                                                  const CompareOptions& options, Comparison& whole);

}  // namespace loraproof::drift
