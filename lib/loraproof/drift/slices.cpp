// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/slices.h"

#include <algorithm>
#include <utility>

#include "loraproof/drift/merge.h"

namespace loraproof::drift {

void FeatureSlicing::slices_of(const Unit& unit, std::int64_t /*line*/,
                               std::vector<std::string>& out) const {
  const FeatureValue& value = unit.features[feature_];
  if (value.kind == FeatureValue::Kind::Value) out.push_back(value.value);
}

RandomSlicing::RandomSlicing(const Key& key, std::size_t count, std::int64_t units,
                             std::int64_t total)
    : key_(key.derive("calibrate")), count_(count) {
  const double share =
      static_cast<double>(units) / static_cast<double>(std::max<std::int64_t>(total, 1));
  below_ = static_cast<std::uint64_t>(std::min(share, 0.5) * 4294967296.0);
}

void RandomSlicing::slices_of(const Unit& /*unit*/, std::int64_t line,
                              std::vector<std::string>& out) const {
  for (std::size_t draw = 0; draw < count_; ++draw) {
    const std::uint64_t hash = siphash_words(key_, draw, static_cast<std::uint64_t>(line));
    if (hash >> 32 < below_) out.push_back(std::to_string(draw));
  }
}

TimeSlicing::TimeSlicing(std::size_t count, std::int64_t length, std::int64_t lines)
    : count_(static_cast<std::int64_t>(count)), length_(length), lines_(lines) {}

void TimeSlicing::slices_of(const Unit& /*unit*/, std::int64_t line,
                            std::vector<std::string>& out) const {
  // Slice i begins after line i * lines / count, and slices don't overlap.
  const std::int64_t slice =
      std::min(count_ - 1, (line - 1) * count_ / std::max<std::int64_t>(lines_, 1));
  const std::int64_t begin = (slice * lines_ + count_ - 1) / count_;
  if (line - 1 - begin < length_) out.push_back(std::to_string(slice));
}

SliceAccumulators::SliceAccumulators(const Slicing& slicing, std::string field, Make make)
    : slicing_(slicing), field_(std::move(field)), make_(std::move(make)) {}

SliceAccumulators::Slice& SliceAccumulators::slice(const std::string& name) {
  const std::lock_guard lock(mutex_);
  Slice& slice = slices_[name];
  if (slices_.size() > kMaxSegments) throw too_many_segments(field_);
  if (!slice.accumulator) slice.accumulator = make_();
  return slice;  // the others of a std::map stay where they are
}

void SliceAccumulators::add(const Unit& unit, std::int64_t line) {
  std::vector<std::string> names;
  slicing_.slices_of(unit, line, names);
  for (const std::string& name : names) {
    Slice& one = slice(name);
    const std::lock_guard lock(one.mutex);
    one.accumulator->add(unit);
  }
}

std::vector<Segment> SliceAccumulators::finish() {
  std::vector<Segment> out;
  for (auto& [name, slice] : slices_) {
    out.push_back({.value = name, .counts = slice.accumulator->finish()});
    slice.accumulator.reset();
  }
  return out;
}

}  // namespace loraproof::drift
