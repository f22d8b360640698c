// SPDX-License-Identifier: Apache-2.0
// A figure over prompts with what is known of its spread, as a measure.
#pragma once

#include <cstdint>
#include <string>

#include "loraproof/golden/spread.h"
#include "loraproof/report/measure.h"
#include "loraproof/report/policy.h"

namespace loraproof::commands {

/// One figure with what is known of it.
struct Figure {
  double value = 0;
  std::int64_t n = 0;  ///< samples; 0: the figure is skipped
  golden::Spread spread;
  double no_effect = 0;  ///< the value that no change at all would give
};

/// part / whole; 0 of nothing.
[[nodiscard]] double share(std::int64_t part, std::int64_t whole);

[[nodiscard]] golden::SpreadOptions spread_options(const report::Policy& policy,
                                                   std::uint64_t seed);

/// Value, n, interval at `level` and smallest effect; no limit.
[[nodiscard]] report::Measure measure_of(const char* id, const Figure& figure, std::string message,
                                         double level);

}  // namespace loraproof::commands
