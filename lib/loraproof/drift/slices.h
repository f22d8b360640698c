// SPDX-License-Identifier: Apache-2.0
// Parts of a log that are counted beside the whole: the segments of --by, and the windows that
// --calibrate takes from a reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "loraproof/drift/accumulator.h"
#include "loraproof/drift/hash.h"
#include "loraproof/drift/profile.h"
#include "loraproof/drift/unit.h"

namespace loraproof::drift {

/// Which slices a unit belongs to. Called by all threads.
class Slicing {
 public:
  Slicing() = default;
  Slicing(const Slicing&) = delete;
  Slicing& operator=(const Slicing&) = delete;
  virtual ~Slicing() = default;
  /// Appends the names of the unit's slices; `line` is that of its first record, from 1.
  virtual void slices_of(const Unit& unit, std::int64_t line,
                         std::vector<std::string>& out) const = 0;
};

/// By the value of a feature; without a value the unit is in no slice.
class FeatureSlicing final : public Slicing {
 public:
  explicit FeatureSlicing(std::size_t feature) : feature_(feature) {}
  void slices_of(const Unit& unit, std::int64_t line, std::vector<std::string>& out) const override;

 private:
  std::size_t feature_;
};

/// `count` random draws of about `units` of `total` units each (of half of them, where that is
/// less). Drawn by a hash of the line's number, so that every run draws the same.
class RandomSlicing final : public Slicing {
 public:
  RandomSlicing(const Key& key, std::size_t count, std::int64_t units, std::int64_t total);
  void slices_of(const Unit& unit, std::int64_t line, std::vector<std::string>& out) const override;

 private:
  SipKey key_;
  std::size_t count_;
  std::uint64_t below_;  // of 2^32
};

/// `count` runs of `length` consecutive lines, evenly spaced over `lines` lines.
class TimeSlicing final : public Slicing {
 public:
  TimeSlicing(std::size_t count, std::int64_t length, std::int64_t lines);
  void slices_of(const Unit& unit, std::int64_t line, std::vector<std::string>& out) const override;

 private:
  std::int64_t count_, length_, lines_;
};

/// One accumulator for each slice, made when its first unit comes; shared by all threads.
class SliceAccumulators {
 public:
  using Make = std::function<std::unique_ptr<Accumulator>()>;
  /// `field`: named when there are more than kMaxSegments slices (an input Error).
  SliceAccumulators(const Slicing& slicing, std::string field, Make make);

  void add(const Unit& unit, std::int64_t line);
  /// By name. Ends the accumulators.
  [[nodiscard]] std::vector<Segment> finish();

 private:
  struct Slice {
    std::mutex mutex;
    std::unique_ptr<Accumulator> accumulator;
  };
  Slice& slice(const std::string& name);

  const Slicing& slicing_;
  std::string field_;
  Make make_;
  std::mutex mutex_;
  std::map<std::string, Slice> slices_;
};

}  // namespace loraproof::drift
