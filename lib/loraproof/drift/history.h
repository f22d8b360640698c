// SPDX-License-Identifier: Apache-2.0
// What is remembered of the windows that were compared with one reference: one JSON object a line.
// Creep that no single window shows, and alarms that must be seen twice, need it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/drift/compare.h"

namespace loraproof::drift {

struct WindowRecord {
  std::string window;  ///< digest of the window's profile
  std::int64_t reference_units = 0;
  std::int64_t window_units = 0;
  double p = 1;                     ///< the smallest adjusted one of all lenses
  std::optional<double> sketch_z;   ///< nullopt: the sketch tested nothing
  std::vector<std::string> failed;  ///< checks that were over their limits, confirmed or not
};

struct History {
  std::string reference;  ///< digest of the reference's profile
  std::vector<WindowRecord> windows;

  /// Index of a window that was compared before.
  [[nodiscard]] std::optional<std::size_t> find(const std::string& window) const;
};

/// A file that isn't there gives an empty history of `reference`. Input Error with the line for
/// what write_history can't have written, and when the file belongs to another reference.
[[nodiscard]] History read_history(const std::filesystem::path& path, const std::string& reference);
void write_history(const std::filesystem::path& path, const History& history);

/// The record of this comparison, `failed` not filled in.
[[nodiscard]] WindowRecord record_of(const Comparison& comparison, std::string window_digest);

/// What all windows say together.
struct Sequence {
  std::int64_t windows = 0;
  /// Page's sum over the sketch's z, ends at the last window. What a window may exceed its
  /// expectation by is 1/2 + 2 m / (n + m) standard deviations: the windows share their reference,
  /// whose own error shifts all of them alike by m / (n + m) (one standard deviation). One window
  /// counts for 4 at most, so that it takes several. Above 8 is an alarm: without drift in at most
  /// 5 % of series of 365 windows (scripts/bench/calibrate_creep).
  double creep = 0;
  double largest_creep = 0;
  double mean_e = 0;  ///< mean e-value of `p`; 0 without windows
};
[[nodiscard]] Sequence sequence_of(const std::vector<WindowRecord>& windows);

}  // namespace loraproof::drift
