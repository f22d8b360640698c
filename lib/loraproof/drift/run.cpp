// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/run.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <fmt/format.h>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/work_queue.h"
#include "loraproof/drift/clusters.h"
#include "loraproof/drift/merge.h"
#include "loraproof/drift/profile_file.h"
#include "loraproof/drift/profile_format.h"
#include "loraproof/drift/worker.h"

namespace loraproof::drift {
namespace {

constexpr std::size_t kPartDigits = 32;  // of the SHA-256 that names a part

// Takes batches off the queue with one worker a thread. Errors of a worker stop everything.
class Crew {
 public:
  explicit Crew(std::vector<std::unique_ptr<Worker>>& workers) : queue_(workers.size() * 2 + 1) {
    for (auto& worker : workers) {
      threads_.emplace_back([this, worker = worker.get()] { run(*worker); });
    }
  }
  ~Crew() {
    queue_.stop();
    join();
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  /// False when no more is wanted: a worker failed, or found a malformed line.
  bool give(Batch batch, bool strict) {
    return !(strict && found_bad_.load()) && queue_.push(std::move(batch));
  }
  /// Waits for the last batch and throws what a worker threw.
  void finish() {
    queue_.end();
    join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void run(Worker& worker) {
    try {
      Batch batch;
      while (queue_.pop(batch)) {
        worker.process(batch);
        if (worker.found_bad()) found_bad_ = true;
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      queue_.stop();
    }
  }
  void join() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  WorkQueue<Batch> queue_;
  std::mutex mutex_;
  std::exception_ptr error_;
  std::atomic<bool> found_bad_ = false;
  std::vector<std::thread> threads_;
};

std::int64_t total_bytes(const std::vector<std::string>& inputs) {
  std::int64_t bytes = 0;
  for (const std::string& input : inputs) {
    if (input != "-") bytes += static_cast<std::int64_t>(stamp_of(input).size_bytes);
  }
  return bytes;
}

// Reads all inputs and feeds the crew. Returns the digest of each input.
std::vector<std::string> feed(const RunOptions& options, Crew& crew, Progress& progress,
                              std::string_view stage) {
  std::vector<std::string> digests;
  std::int64_t consumed = 0;
  std::int64_t shown = 0;
  progress.begin(stage, total_bytes(options.inputs), "bytes");
  std::unique_ptr<ClusterBatcher> clusters;
  if (!options.record.cluster.empty()) clusters = std::make_unique<ClusterBatcher>(options.record);
  bool wanted = true;
  for (std::size_t input = 0; input < options.inputs.size() && wanted; ++input) {
    BatchReader reader(options.inputs[input], input, options.max_line_bytes, &consumed);
    Batch batch;
    while (wanted && reader.next(batch)) {
      progress.advance(consumed - std::exchange(shown, consumed));
      if (!clusters) {
        wanted = crew.give(std::exchange(batch, {}), options.strict);
        continue;
      }
      clusters->add(batch);
      for (Batch whole; wanted && clusters->take(whole);)
        wanted = crew.give(std::move(whole), options.strict);
    }
    if (wanted) digests.push_back(reader.digest());
  }
  if (clusters && wanted) {
    clusters->finish();
    for (Batch whole; wanted && clusters->take(whole);)
      wanted = crew.give(std::move(whole), options.strict);
  }
  progress.end();
  return digests;
}

void refuse_bad(const RunOptions& options, const RunNotes& notes) {
  const BadLine* first = nullptr;
  for (const BadLines& lines : notes.bad) {
    for (const BadLine& line : lines.first) {
      if (first == nullptr ||
          std::pair(line.input, line.line) < std::pair(first->input, first->line))
        first = &line;
    }
  }
  if (first == nullptr) return;
  const std::string& input = options.inputs[first->input];
  throw input_error({.message = fmt::format("a malformed line: {}", name_of(first->kind)),
                     .file = input == "-" ? "stdin" : input,
                     .where = fmt::format("line {}", first->line),
                     .hint = "without --strict such lines are counted and left out"});
}

// Runs the workers over all inputs; returns the inputs' digests.
std::vector<std::string> run_all(const RunOptions& options,
                                 std::vector<std::unique_ptr<Worker>>& workers, Progress& progress,
                                 std::string_view stage, RunNotes& notes) {
  std::vector<std::string> digests;
  {
    Crew crew(workers);
    digests = feed(options, crew, progress, stage);
    crew.finish();
  }
  notes = {};
  for (const auto& worker : workers) add_notes(notes, worker->notes());
  if (options.strict) refuse_bad(options, notes);
  return digests;
}

std::vector<std::string> part_ids(const RunOptions& options,
                                  const std::vector<std::string>& digests) {
  std::vector<std::string> ids;
  ids.reserve(digests.size());
  for (const std::string& digest : digests) {
    // "sha256:" stays off; an empty input is no part, or two empty partitions would look like one.
    ids.push_back(!options.part.empty() ? options.part
                  : digest.empty()      ? ""
                                        : digest.substr(7, kPartDigits));
  }
  return ids;
}

void name_parts(Profile& profile, const RunOptions& options, const std::vector<std::string>& ids) {
  std::set<std::string> distinct;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i].empty() || distinct.insert(ids[i]).second || !options.part.empty()) continue;
    throw input_error(
        {.message = "the same content stands in two inputs and would be counted twice",
         .file = options.inputs[i],
         .hint = "leave one out"});
  }
  profile.parts.assign(distinct.begin(), distinct.end());
}

void place_bad_lines(Profile& profile, const RunNotes& notes, const std::vector<std::string>& ids) {
  for (std::size_t kind = 0; kind < kMalformedKinds; ++kind) {
    MalformedLines& lines = profile.malformed[kind];
    lines.count = notes.bad[kind].count;
    for (const BadLine& line : notes.bad[kind].first)
      lines.first.push_back({ids[line.input], line.line});
    std::sort(lines.first.begin(), lines.first.end());
    if (lines.first.size() > kFirstLines) lines.first.resize(kFirstLines);
  }
}

Map header_of(const RunOptions& options, const Encoder& encoder, const Key& key, Holdout holdout) {
  return {.side = options.record.side,
          .holdout = holdout,
          .system_kept = options.record.keep_system,
          .clustered = !options.record.cluster.empty(),
          .tokenizer = encoder.digest,
          .key_id = key.id()};
}

void check_map(const Map& map, const Map& header) {
  const std::string what = difference(fingerprint_of(map, ""), fingerprint_of(header, ""));
  if (what.empty()) return;
  throw input_error(
      {.message = "the map was made for something else: " + what,
       .hint = "profile with the tokenizer, key and options that the map was made with"});
}

// The feature of --by among those of the options.
std::optional<FeatureSlicing> segments_of(const RecordOptions& record) {
  const auto at = std::ranges::find(record.features, record.by, &FeatureField::name);
  if (record.by.empty() || at == record.features.end()) return std::nullopt;
  return std::optional<FeatureSlicing>(std::in_place,
                                       static_cast<std::size_t>(at - record.features.begin()));
}

// What the counts are counts of.
void label(Profile& profile, const RunOptions& options, const Map& map, const RunNotes& notes,
           const std::vector<std::string>& parts) {
  profile.map = map;
  profile.fingerprint = fingerprint_of(map);
  profile.segmented_by = options.record.by;
  name_parts(profile, options, parts);
  place_bad_lines(profile, notes, parts);
}

struct Selection {
  bool leave_out = false;
  const Slicing* windows = nullptr;
};

ReferenceWindows profile_of(const RunOptions& options, const ProfileBasis& basis,
                            Selection selection, Progress& progress, RunNotes& notes) {
  const Map& map = basis.map;
  const Encoder& encoder = basis.encoder;
  check_map(map, header_of(options, encoder, basis.key, map.holdout));
  const Draw draw(basis.key, map.holdout);
  const MapTables tables(map, basis.key, encoder.facts.id_limit());
  const std::vector<std::string> names = feature_names(options.record);
  const auto make = [&] {
    return std::make_unique<Accumulator>(map, tables, encoder.facts, names);
  };
  const std::optional<FeatureSlicing> by = segments_of(options.record);
  std::unique_ptr<SliceAccumulators> segments, windows;
  std::vector<SliceAccumulators*> slices;
  if (by) {
    segments = std::make_unique<SliceAccumulators>(*by, options.record.by, make);
    slices.push_back(segments.get());
  }
  if (selection.windows != nullptr) {
    windows = std::make_unique<SliceAccumulators>(*selection.windows, "calibrate", make);
    slices.push_back(windows.get());
  }
  std::vector<std::unique_ptr<Accumulator>> accumulators;
  std::vector<std::unique_ptr<Worker>> workers;
  const Task task = selection.leave_out ? Task::LeaveOut : Task::Everything;
  for (int i = 0; i < options.threads; ++i) {
    accumulators.push_back(make());
    workers.push_back(std::make_unique<Worker>(task, options, encoder, draw, nullptr,
                                               accumulators.back().get(), slices));
  }
  const std::vector<std::string> ids =
      part_ids(options, run_all(options, workers, progress, "profile", notes));
  ReferenceWindows out;
  Profile& profile = out.reference;
  for (const auto& worker : workers) profile.held_out += worker->held_out();
  workers.clear();
  static_cast<Counts&>(profile) = accumulators.front()->finish();
  for (std::size_t i = 1; i < accumulators.size(); ++i) {
    add_counts(profile, accumulators[i]->finish());
    accumulators[i].reset();
  }
  label(profile, options, map, notes, ids);
  if (segments) profile.segments = segments->finish();
  if (windows) out.windows = windows->finish();
  return out;
}

}  // namespace

Encoder::Encoder(const std::filesystem::path& path)
    : file(tokenizer_file(path)),
      tokenizer(text::Tokenizer::from_file(file)),
      facts(tokenizer),
      digest(tokenizer_digest(file)) {}

std::vector<std::string> feature_names(const RecordOptions& options) {
  std::vector<std::string> names;
  for (const FeatureField& field : options.features) names.push_back(field.name);
  if (options.side == Side::Output) names.emplace_back("finish_reason");
  return names;
}

Map make_map(const RunOptions& options, const Encoder& encoder, const Key& key, Holdout holdout,
             Progress& progress, RunNotes& notes) {
  const Draw draw(key, holdout);
  std::vector<std::unique_ptr<MapBuilder>> builders;
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < options.threads; ++i) {
    builders.push_back(std::make_unique<MapBuilder>(key, encoder.facts.id_limit()));
    workers.push_back(std::make_unique<Worker>(Task::Map, options, encoder, draw,
                                               builders.back().get(), nullptr));
  }
  (void)run_all(options, workers, progress, "map", notes);
  for (std::size_t i = 1; i < builders.size(); ++i) builders.front()->add(*builders[i]);
  Map map = builders.front()->finish(header_of(options, encoder, key, holdout));
  if (map.token_total > 0) return map;
  throw input_error(
      {.message = "too few prompts to learn a map from: none of the slice has a token",
       .found = fmt::format("{} lines, {} in the slice", notes.lines, map.units),
       .hint =
           "about a quarter of the prompts goes to the slice; give it more, and check --field"});
}

Profile make_profile(const RunOptions& options, const ProfileBasis& basis, bool leave_out,
                     Progress& progress, RunNotes& notes) {
  return profile_of(options, basis, {.leave_out = leave_out, .windows = nullptr}, progress, notes)
      .reference;
}

ReferenceWindows make_reference_windows(const RunOptions& options, const ProfileBasis& basis,
                                        const Slicing& slicing, Progress& progress,
                                        RunNotes& notes) {
  return profile_of(options, basis, {.leave_out = true, .windows = &slicing}, progress, notes);
}

}  // namespace loraproof::drift
