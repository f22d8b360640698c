// SPDX-License-Identifier: Apache-2.0
// One thread's share of a run: lines to units, units to a map or a profile. For this module only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/drift/accumulator.h"
#include "loraproof/drift/map_builder.h"
#include "loraproof/drift/run.h"
#include "loraproof/drift/slices.h"

namespace loraproof::drift {

/// Which units belong to the slice.
class Draw {
 public:
  Draw(const Key& key, Holdout holdout) : key_(key.derive("holdout")), holdout_(holdout) {}
  [[nodiscard]] bool line(std::string_view text, std::int64_t number) const;
  [[nodiscard]] bool cluster(std::string_view name) const;

 private:
  SipKey key_;
  Holdout holdout_;
};

/// What a worker does with a unit: Map adds the drawn ones to its builder; LeaveOut profiles the
/// others; Everything profiles all.
enum class Task : std::uint8_t { Map, LeaveOut, Everything };

class Worker {
 public:
  /// Exactly one of `builder` and `accumulator` is set; both outlive the worker, as do the others.
  /// What goes to the accumulator goes to each of `slices` as well.
  Worker(Task task, const RunOptions& options, const Encoder& encoder, const Draw& draw,
         MapBuilder* builder, Accumulator* accumulator,
         std::vector<SliceAccumulators*> slices = {});

  void process(const Batch& batch);
  /// True once a line was malformed.
  [[nodiscard]] bool found_bad() const { return found_bad_; }
  [[nodiscard]] const RunNotes& notes() const { return notes_; }
  /// Units that were left out.
  [[nodiscard]] std::int64_t held_out() const { return held_out_; }

 private:
  void unit(const Batch& batch, std::size_t begin, std::size_t end, bool drawn);
  bool add_line(const Batch& batch, const Batch::Line& line);
  void add_record(const Record& record);
  void add_features(const Record& record);
  void bad(BadLine line);

  Task task_;
  const RunOptions& options_;
  const Encoder& encoder_;
  const Draw& draw_;
  MapBuilder* builder_;
  Accumulator* accumulator_;
  std::vector<SliceAccumulators*> slices_;
  RecordParser parser_;
  Record record_;
  text::WordCache words_;
  Unit unit_;
  RunNotes notes_;
  std::int64_t held_out_ = 0;
  bool found_bad_ = false;
};

void add_notes(RunNotes& into, const RunNotes& other);

}  // namespace loraproof::drift
