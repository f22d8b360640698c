// SPDX-License-Identifier: Apache-2.0
// Reads a written merge from the disk again and recomputes it by another way than it was made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "loraproof/core/progress.h"
#include "loraproof/merge/plan.h"

namespace loraproof::merge {

/// How the files compare with what the plan says they hold.
struct ReadBack {
  std::int64_t untouched =
      0;                      ///< tensors whose bytes are the base's (or a saved one's), as planned
  std::int64_t touched = 0;   ///< tensors that were recomputed
  std::int64_t elements = 0;  ///< of those
  /// Elements further from W + D, summed in f64 in another order, than rounding once explains.
  std::int64_t misrounded = 0;
  double worst_ulp = 0;  ///< largest distance from it, in units in the last place: 0.5 at best
  /// The first thing that differs: "model.norm.weight: other bytes than the base"; empty: nothing.
  std::string first_difference;

  [[nodiscard]] bool holds() const { return first_difference.empty() && misrounded == 0; }
};

/// `folder`: what write_weights() made, whole. Pages that the kernel still holds are dropped first,
/// so that it is the disk that answers. Memory is bounded as in writing. Input Error where a file
/// can't be read back.
[[nodiscard]] ReadBack read_back(const MergePlan& plan, const std::filesystem::path& folder,
                                 int threads, Progress& progress);

}  // namespace loraproof::merge
