// SPDX-License-Identifier: Apache-2.0
// A window among all that are compared with one reference: its level, alarms that must be seen
// twice, and what the windows say together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/core/json_fwd.h"
#include "loraproof/drift/compare.h"
#include "loraproof/drift/history.h"
#include "loraproof/report/check.h"
#include "loraproof/report/policy.h"

namespace loraproof::commands {

struct DriftSequenceOptions {
  /// The place of this window among all; nullopt: from the history, or it is the only one.
  std::optional<std::int64_t> number;
  std::string history;  ///< file that remembers the windows; "": none
  /// One false alarm in so many windows: each has the level 1 / run_length, and a lens fails only
  /// when it was over its limit in one of the two windows before, too.
  std::optional<std::int64_t> run_length;
};
/// Usage Error for options that contradict each other.
void check_sequence(const DriftSequenceOptions& options);

class DriftSequence {
 public:
  /// Reads the history. Digests are needed with one only.
  DriftSequence(const DriftSequenceOptions& options, double alpha, std::string reference_digest,
                std::string window_digest);

  /// Of this window, all its lenses together.
  [[nodiscard]] double level() const;
  /// null where the window is the only one.
  [[nodiscard]] Json number() const;

  /// With a history: adds drift.creep and drift.evidence, takes back what must be seen twice, and
  /// writes the history with this window. A window that is in it already is judged by those before
  /// it, and nothing is written.
  void judge(const drift::Comparison& comparison, const report::Policy& policy,
             std::vector<report::Check>& checks);
  /// null without a history.
  [[nodiscard]] Json metrics() const;

 private:
  void confirm(std::vector<report::Check>& checks) const;

  DriftSequenceOptions options_;
  double alpha_;
  std::string window_;
  drift::History history_;
  bool known_ = false;  // this window was compared before
  drift::Sequence sequence_;
};

}  // namespace loraproof::commands
