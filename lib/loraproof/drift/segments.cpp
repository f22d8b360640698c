// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/segments.h"

#include <algorithm>
#include <map>
#include <utility>

namespace loraproof::drift {
namespace {

struct Pair {
  const Counts* reference = nullptr;
  const Counts* window = nullptr;

  [[nodiscard]] std::int64_t reference_units() const { return reference ? reference->units : 0; }
  [[nodiscard]] std::int64_t window_units() const { return window ? window->units : 0; }
};

std::map<std::string, Pair> pairs_of(const Profile& reference, const Profile& window) {
  std::map<std::string, Pair> pairs;
  for (const Segment& segment : reference.segments)
    pairs[segment.value].reference = &segment.counts;
  for (const Segment& segment : window.segments) pairs[segment.value].window = &segment.counts;
  return pairs;
}

}  // namespace

SegmentComparisons compare_segments(const Profile& reference, const Profile& window,
                                    const CompareOptions& options, Comparison& whole) {
  const std::map<std::string, Pair> pairs = pairs_of(reference, window);
  const auto is_large = [&](const Pair& pair) {
    return std::min(pair.reference_units(), pair.window_units()) >= options.min_units;
  };
  const auto large =
      std::ranges::count_if(pairs, [&](const auto& item) { return is_large(item.second); });
  CompareOptions one = options;
  one.level = options.level / static_cast<double>(std::max<std::ptrdiff_t>(large, 1));
  SegmentComparisons out;
  for (const auto& [value, pair] : pairs) {
    if (is_large(pair)) {
      out.compared.push_back(
          {value, compare_counts(*pair.reference, *pair.window, reference.map.side, one)});
    } else {
      out.uncompared.push_back({value, pair.reference_units(), pair.window_units()});
    }
  }
  std::vector<Comparison*> family = {&whole};
  for (SegmentComparison& segment : out.compared) family.push_back(&segment.comparison);
  adjust_together(std::move(family));
  return out;
}

}  // namespace loraproof::drift
