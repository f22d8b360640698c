// SPDX-License-Identifier: Apache-2.0
// The checks of segments.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "loraproof/commands/drift_measures.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {
namespace {

report::Measure segment_measure(std::string subject, std::int64_t reference, std::int64_t window) {
  return {.id = "drift.segment",
          .subject = std::move(subject),
          .n = std::min(reference, window),
          .message = fmt::format("{} in the reference, {} in the window", reference, window),
          .hint = "add prompts of this segment to the reference"};
}

report::Measure uncompared_measure(const std::string& by, const drift::UncomparedSegment& segment,
                                   std::int64_t min_units) {
  report::Measure measure = segment_measure(fmt::format("{}={}", by, segment.value),
                                            segment.reference_units, segment.window_units);
  const bool is_new = segment.reference_units == 0 && segment.window_units >= min_units;
  measure.outcome = is_new ? report::Outcome::Fail : report::Outcome::Skipped;
  measure.message += is_new ? ": new, there is nothing to compare with"
                            : fmt::format(": fewer than {}", min_units);
  return measure;
}

}  // namespace

std::vector<report::Check> segment_checks(const std::string& by,
                                          const drift::SegmentComparisons& segments,
                                          const drift::CompareOptions& options,
                                          const report::Policy& policy) {
  std::vector<report::Check> checks;
  std::vector<report::Measure> others;
  for (const drift::SegmentComparison& segment : segments.compared) {
    const std::string subject = fmt::format("{}={}", by, segment.value);
    std::size_t moved = 0;
    for (report::Check& check : report::gate(lens_measures(segment.comparison, options), policy)) {
      if (check.status != report::Status::Fail && check.status != report::Status::Warn) continue;
      ++moved;
      check.subject = check.subject.empty() ? subject : subject + ", " + check.subject;
      checks.push_back(std::move(check));
    }
    if (moved > 0) continue;
    others.push_back(segment_measure(subject, segment.comparison.reference_units,
                                     segment.comparison.window_units));
    others.back().outcome = report::Outcome::Pass;
  }
  for (const drift::UncomparedSegment& segment : segments.uncompared)
    others.push_back(uncompared_measure(by, segment, options.min_units));
  for (report::Check& check : report::gate(others, policy)) checks.push_back(std::move(check));
  return checks;
}

}  // namespace loraproof::commands
