// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/worker.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "loraproof/drift/text_figures.h"

namespace loraproof::drift {
namespace {

constexpr std::uint64_t kSliceOf = 4;  // one unit in four

bool before(const BadLine& a, const BadLine& b) {
  return std::tie(a.input, a.line) < std::tie(b.input, b.line);
}

bool is_truncated(std::string_view finish_reason) {
  return finish_reason == "length" || finish_reason == "max_tokens" ||
         finish_reason == "max_output_tokens";
}

// Keeps the first lines of each input.
void add_bad(BadLines& into, const BadLine& line) {
  ++into.count;
  const auto at = std::upper_bound(into.first.begin(), into.first.end(), line, before);
  const auto place = into.first.insert(at, line);
  const auto begin =
      std::lower_bound(into.first.begin(), place, line.input,
                       [](const BadLine& a, std::size_t input) { return a.input < input; });
  const auto end =
      std::upper_bound(place, into.first.end(), line.input,
                       [](std::size_t input, const BadLine& a) { return input < a.input; });
  if (end - begin > static_cast<std::ptrdiff_t>(kFirstLines)) into.first.erase(end - 1);
}

}  // namespace

bool Draw::line(std::string_view text, std::int64_t number) const {
  const std::uint64_t content = siphash(key_, text);
  const std::uint64_t hash = holdout_ == Holdout::Record
                                 ? content
                                 : siphash_words(key_, content, static_cast<std::uint64_t>(number));
  return hash % kSliceOf == 0;
}

bool Draw::cluster(std::string_view name) const { return siphash(key_, name) % kSliceOf == 0; }

Worker::Worker(Task task, const RunOptions& options, const Encoder& encoder, const Draw& draw,
               MapBuilder* builder, Accumulator* accumulator,
               std::vector<SliceAccumulators*> slices)
    : task_(task),
      options_(options),
      encoder_(encoder),
      draw_(draw),
      builder_(builder),
      accumulator_(accumulator),
      slices_(std::move(slices)),
      parser_(options.record) {}

void Worker::process(const Batch& batch) {
  for (const BadLine& line : batch.bad) {
    ++notes_.lines;
    bad(line);
  }
  notes_.lines += static_cast<std::int64_t>(batch.lines.size());
  if (batch.unit_ends.empty()) {
    for (std::size_t i = 0; i < batch.lines.size(); ++i) {
      const Batch::Line& line = batch.lines[i];
      const bool drawn = task_ != Task::Everything && draw_.line(batch.text(line), line.number);
      unit(batch, i, i + 1, drawn);
    }
    return;
  }
  std::size_t begin = 0;
  for (std::size_t i = 0; i < batch.unit_ends.size(); ++i) {
    const bool drawn = task_ != Task::Everything && draw_.cluster(batch.unit_names[i]);
    unit(batch, begin, batch.unit_ends[i], drawn);
    begin = batch.unit_ends[i];
  }
}

void Worker::unit(const Batch& batch, std::size_t begin, std::size_t end, bool drawn) {
  const bool wanted = task_ == Task::Everything || drawn == (task_ == Task::Map);
  // A map reads the others only where each malformed line ends the run.
  if (!wanted && task_ == Task::Map && !options_.strict) return builder_->pass();
  unit_.clear();
  bool any = false;
  for (std::size_t i = begin; i < end; ++i) {
    if (!add_line(batch, batch.lines[i])) continue;
    any = true;
    if (wanted) add_record(record_);
  }
  if (!any) return;
  if (task_ == Task::Map) return wanted ? builder_->add(unit_) : builder_->pass();
  if (!wanted) {
    ++held_out_;
    return;
  }
  accumulator_->add(unit_);
  for (SliceAccumulators* slices : slices_) slices->add(unit_, batch.lines[begin].number);
}

bool Worker::add_line(const Batch& batch, const Batch::Line& line) {
  Malformed why{};
  const RecordParser::Outcome outcome = parser_.parse(batch.text(line), record_, why);
  if (outcome == RecordParser::Outcome::Good) {
    const bool known = std::all_of(record_.ids.begin(), record_.ids.end(),
                                   [&](std::int32_t id) { return id < encoder_.facts.id_limit(); });
    if (known) return true;
    why = Malformed::Type;
  } else if (outcome == RecordParser::Outcome::Skip) {
    ++notes_.skipped;
    return false;
  }
  bad({.kind = why, .input = line.input, .line = line.number});
  return false;
}

void Worker::add_record(const Record& record) {
  const std::size_t before = unit_.ids.size();
  if (record.has_ids) {
    unit_.has_text = false;
    unit_.ids.insert(unit_.ids.end(), record.ids.begin(), record.ids.end());
    unit_.ends.push_back(unit_.ids.size());
  }
  for (const std::string_view text : record.texts) {
    encoder_.tokenizer.encode(text, words_, unit_.ids);
    unit_.ends.push_back(unit_.ids.size());
    if (task_ != Task::Map) unit_.figures += scan_text(text);
  }
  if (unit_.records++ == 0) add_features(record);
  unit_.empty_records += unit_.ids.size() == before ? 1 : 0;
  if (options_.record.side != Side::Output) return;
  if (!record.finish_reason.empty()) {
    ++unit_.finished_records;
    unit_.truncated_records += is_truncated(record.finish_reason) ? 1 : 0;
  }
  if (record.has_ids) return;
  ++unit_.judged_records;
  const bool refused =
      record.refused || (!record.texts.empty() && begins_as_refusal(record.texts.front()));
  unit_.refusals += refused ? 1 : 0;
}

void Worker::add_features(const Record& record) {
  unit_.features = record.features;
  if (options_.record.side != Side::Output) return;
  const auto kind =
      record.finish_reason.empty() ? FeatureValue::Kind::Missing : FeatureValue::Kind::Value;
  unit_.features.push_back({kind, std::string(record.finish_reason.substr(0, 64))});
}

void Worker::bad(BadLine line) {
  found_bad_ = true;
  add_bad(notes_.bad[static_cast<std::size_t>(line.kind)], line);
}

void add_notes(RunNotes& into, const RunNotes& other) {
  into.lines += other.lines;
  into.skipped += other.skipped;
  for (std::size_t kind = 0; kind < kMalformedKinds; ++kind) {
    const std::int64_t count = into.bad[kind].count + other.bad[kind].count;
    for (const BadLine& line : other.bad[kind].first) add_bad(into.bad[kind], line);
    into.bad[kind].count = count;
  }
}

}  // namespace loraproof::drift
