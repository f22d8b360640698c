// SPDX-License-Identifier: Apache-2.0
// A judged finding: what every writer prints and the verdict is computed from. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace loraproof::report {

enum class Status { Pass, Warn, Fail, Inconclusive, Skipped };

/// What a failed check does: fails the gate, warns, or is only reported.
enum class Severity { Error, Warn, Info };

struct Interval {
  double low = 0;
  double high = 0;
  double level = 0.95;  ///< Coverage, between 0 and 1.
};

/// Bounds that a value has to keep; a value on a bound is inside.
struct Limit {
  std::optional<double> min;
  std::optional<double> max;

  [[nodiscard]] bool empty() const { return !min && !max; }
};

struct Check {
  std::string id;       ///< A rule's id: "golden.kl_answer".
  std::string subject;  ///< What was judged: a tensor, an adapter's name, a slice; may be empty.
  Status status = Status::Skipped;
  Severity severity = Severity::Error;
  bool required = false;  ///< Undecided, it keeps the verdict from being a pass.
  std::optional<double> value;
  std::optional<Limit> limit;  ///< The limit that was applied, wherever it came from.
  std::optional<Interval> interval;
  std::optional<std::int64_t> n;  ///< Samples behind `value`.
  /// The smallest departure from "no effect" that these samples could have shown.
  std::optional<double> smallest_effect;
  std::string message;  ///< What was found, one or two sentences, never cut.
  std::string hint;     ///< What to do about it; empty for a pass.
};

/// "pass", "warn", "fail", "inconclusive", "skipped": as printed in every format.
[[nodiscard]] std::string_view name_of(Status status);
/// "error", "warn", "info".
[[nodiscard]] std::string_view name_of(Severity severity);

}  // namespace loraproof::report
