// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/figure.h"

#include <algorithm>
#include <utility>

namespace loraproof::commands {

double share(std::int64_t part, std::int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<std::int64_t>(whole, 1));
}

golden::SpreadOptions spread_options(const report::Policy& policy, std::uint64_t seed) {
  return {.interval = {.level = policy.number("golden.interval_level"),
                       .resamples = policy.integer("golden.resamples"),
                       .seed = seed},
          .alpha = policy.number("golden.alpha"),
          .power = policy.number("golden.power")};
}

report::Measure measure_of(const char* id, const Figure& figure, std::string message,
                           double level) {
  report::Measure measure{.id = id, .n = figure.n, .message = std::move(message)};
  if (figure.n == 0) {
    measure.outcome = report::Outcome::Skipped;
    return measure;
  }
  measure.value = figure.value;
  measure.no_effect = figure.no_effect;
  measure.smallest_effect = figure.spread.smallest_effect;
  if (const auto& interval = figure.spread.interval)
    measure.interval = {interval->low, interval->high, level};
  return measure;
}

}  // namespace loraproof::commands
