// SPDX-License-Identifier: Apache-2.0
// What an analysis found, before anybody judged it. Analyses know no limits and no severities; the
// policy supplies both and gate() turns measures into checks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "loraproof/report/check.h"

namespace loraproof::report {

/// A decision that the analysis itself can make: a tensor lands or it doesn't. Skipped means that
/// the question does not arise here (no --adapter given); Inconclusive that it does but could not
/// be answered, and that is never a pass.
enum class Outcome { Pass, Fail, Inconclusive, Skipped };

/// Whether a value could be chance. Beyond its limit it counts only when p <= level; within the
/// limit a notable one is a warning. What p was adjusted for is the analysis's business.
struct Significance {
  double p = 1;
  double level = 0.05;
  bool notable = false;
};

struct Measure {
  std::string id;       ///< Must be an id of the rule table.
  std::string subject;  ///< May be empty.
  std::optional<double> value;
  std::optional<Interval> interval;
  std::optional<std::int64_t> n;
  std::string message;  ///< What was measured or found; the gate adds how it compares.
  std::string hint;     ///< What to do if this turns out not to be a pass.
  /// Set: the policy supplies only the severity (and min_n). Not set: `value` against the limits.
  std::optional<Outcome> outcome;
  /// Computed from the noise floor: applies to each side for which the policy file and --set say
  /// nothing.
  std::optional<Limit> derived_limit;
  /// The smallest effect that the samples could have shown, and the value that no effect has. A
  /// value inside its limits decides nothing when the limits leave less room than that effect.
  std::optional<double> smallest_effect;
  double no_effect = 0;
  std::optional<Significance> significance;
  /// This question is not asked here: reported, and gated only if the policy file or --set give it
  /// a limit or a severity.
  bool report_only = false;
};

}  // namespace loraproof::report
