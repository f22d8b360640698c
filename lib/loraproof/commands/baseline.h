// SPDX-License-Identifier: Apache-2.0
// A report that was accepted before: what is no worse now than it was then does not fail
// (--baseline).
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loraproof/report/check.h"
#include "loraproof/report/rules.h"

namespace loraproof::commands {

/// What the accepted report says of a check, whatever its status was.
struct KnownCheck {
  std::optional<double> value;
  std::string message;
};

struct Baseline {
  std::filesystem::path file;
  std::map<std::pair<std::string, std::string>, KnownCheck> known;  ///< by id and subject
};

/// Reads a JSON report of `validate`. Throws an input Error for anything else.
[[nodiscard]] Baseline read_baseline(const std::filesystem::path& file);

/// Turns failed and warned checks that the baseline knows into passes that are reported only. A
/// check with a value is no worse when the accepted value lies inside its interval, or on the worse
/// side of it; one without a value when it failed with the same message. What has no direction
/// (neither higher nor lower is better) must be equal.
void accept_known(std::vector<report::Check>& checks, const Baseline& baseline,
                  const report::RuleTable& rules);

}  // namespace loraproof::commands
