// SPDX-License-Identifier: Apache-2.0
// Which prompts are answered as `expected`, now and when the reference was recorded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/golden/suite.h"
#include "loraproof/stats/paired.h"

namespace loraproof::commands {

/// One prompt that expects something.
struct ExpectedOutcome {
  bool right_then = false;
  bool right_now = false;
};

/// Per prompt; nothing where the suite expects nothing.
using ExpectedOutcomes = std::vector<std::optional<ExpectedOutcome>>;

/// Answer texts in the order of the suite's prompts.
[[nodiscard]] ExpectedOutcomes outcomes_of(const golden::Suite& suite,
                                           const std::vector<std::string>& then,
                                           const std::vector<std::string>& now);

struct OutcomeCounts {
  std::int64_t right_then = 0;
  std::int64_t right_now = 0;
  stats::Flips flips;  ///< flips.n: prompts that expect something
};
[[nodiscard]] OutcomeCounts count(const ExpectedOutcomes& outcomes);

/// "right_to_wrong", "wrong_to_right", or "" when nothing flipped.
[[nodiscard]] std::string flip_name(const std::optional<ExpectedOutcome>& outcome);

}  // namespace loraproof::commands
