// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/calibrate.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/drift/merge.h"

namespace loraproof::drift {
namespace {

constexpr double kDeviations = 3;

LensLimit limit_of(std::pair<std::string, std::string> lens, const std::vector<double>& effects) {
  LensLimit out{
      .id = std::move(lens.first), .subject = std::move(lens.second), .windows = effects.size()};
  const auto n = static_cast<double>(effects.size());
  for (const double effect : effects) out.mean += effect / n;
  double squares = 0;
  for (const double effect : effects) squares += (effect - out.mean) * (effect - out.mean);
  out.standard_deviation = std::sqrt(squares / (n - 1));
  out.largest = std::ranges::max(effects);
  out.limit = out.mean + kDeviations * out.standard_deviation;
  return out;
}

}  // namespace

std::unique_ptr<Slicing> calibration_windows(Calibration kind, const Key& key, std::int64_t units,
                                             std::int64_t total, std::int64_t lines) {
  units = std::max<std::int64_t>(units, 1);
  if (kind == Calibration::Random) {
    return std::make_unique<RandomSlicing>(key, kMaxCalibrationWindows, units, total);
  }
  const auto fit = static_cast<std::size_t>(total / units);
  if (fit < kMinCalibrationWindows) {
    throw input_error(
        {.message = "the reference is too short to say how much it varies over time",
         .expected = fmt::format("{} windows of {} prompts", kMinCalibrationWindows, units),
         .found = fmt::format("{} prompts", total),
         .hint = "take a longer reference, a shorter window, or --calibrate random"});
  }
  const auto length = static_cast<std::int64_t>(std::ceil(
      static_cast<double>(units) * static_cast<double>(lines) / static_cast<double>(total)));
  return std::make_unique<TimeSlicing>(std::min(fit, kMaxCalibrationWindows), length, lines);
}

std::vector<LensLimit> calibrated_limits(const Profile& reference,
                                         const std::vector<Segment>& windows,
                                         const CompareOptions& options) {
  std::map<std::pair<std::string, std::string>, std::vector<double>> effects;
  for (const Segment& window : windows) {
    Counts rest = reference;
    take_away(rest, window.counts);
    const Comparison comparison = compare_counts(rest, window.counts, reference.map.side, options);
    for (const LensShift& lens : comparison.lenses) {
      if (lens.p) effects[{lens.id, lens.subject}].push_back(lens.effect);
    }
  }
  std::vector<LensLimit> limits;
  for (const auto& [lens, values] : effects) {
    if (values.size() >= kMinCalibrationWindows) limits.push_back(limit_of(lens, values));
  }
  return limits;
}

}  // namespace loraproof::drift
