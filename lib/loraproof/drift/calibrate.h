// SPDX-License-Identifier: Apache-2.0
// Limits of effects from the reference itself: how large does each effect get between windows of
// the reference and the rest of it? With random windows that is noise at the window's size, with
// consecutive ones the variation that is usual over time as well.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "loraproof/drift/compare.h"
#include "loraproof/drift/slices.h"

namespace loraproof::drift {

enum class Calibration : std::uint8_t { Random, Time };

/// With fewer windows mean and standard deviation say nothing.
inline constexpr std::size_t kMinCalibrationWindows = 5;
inline constexpr std::size_t kMaxCalibrationWindows = 30;

/// Windows of about `units` of the `total` units that a reference of `lines` lines has left after
/// its map. Random: 30 draws (of at most half of the reference). Time: as many as fit, 30 at most;
/// input Error when fewer than 5 fit.
[[nodiscard]] std::unique_ptr<Slicing> calibration_windows(Calibration kind, const Key& key,
                                                           std::int64_t units, std::int64_t total,
                                                           std::int64_t lines);

struct LensLimit {
  std::string id, subject;  ///< as in LensShift
  std::size_t windows = 0;  ///< that had an effect of this lens
  double mean = 0;          ///< of the effects
  double standard_deviation = 0;
  double largest = 0;
  double limit = 0;  ///< mean + 3 standard deviations
};

/// A limit for each lens that at least 5 windows could test.
[[nodiscard]] std::vector<LensLimit> calibrated_limits(const Profile& reference,
                                                       const std::vector<Segment>& windows,
                                                       const CompareOptions& options);

}  // namespace loraproof::drift
