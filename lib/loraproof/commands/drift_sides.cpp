// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/drift_sides.h"

#include <fstream>
#include <memory>
#include <utility>

#include "loraproof/commands/drift_log.h"
#include "loraproof/drift/profile_file.h"

namespace loraproof::commands {
namespace {

bool is_stored(const std::string& path) {
  if (path == "-") return false;
  std::string beginning(64, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<std::size_t>(file.gcount()));
  return drift::looks_stored(beginning);
}

void expect_fitting_flags(const DriftCompareOptions& options) {
  const bool reference_is_log = !is_stored(options.reference);
  if (options.calibrate && !reference_is_log) {
    throw usage_error({.message = "a profile holds no prompts to make windows of",
                       .where = "--calibrate",
                       .expected = "the log of the reference",
                       .found = options.reference});
  }
  if (options.log_flags.empty() || reference_is_log || !is_stored(options.window)) return;
  throw usage_error({.message = "both sides are profiles, so no log is read",
                     .where = options.log_flags.front(),
                     .hint = "pass it where the log is profiled: loraproof drift profile"});
}

class SideReader {
 public:
  SideReader(const DriftCompareOptions& options, Context& context)
      : options_(options), context_(context), key_(key_of(options.log.key)) {
    if (!options.log.tokenizer.empty()) sides_.encoder.emplace(options.log.tokenizer);
  }

  DriftSides read() {
    if (is_stored(options_.reference)) {
      sides_.reference = drift::read_profile(options_.reference);
      read_window(sides_.reference.map, sides_.reference.seal.has_value());
    } else {
      read_log_reference();
    }
    return std::move(sides_);
  }

 private:
  // The window comes first where its size decides how the reference is cut into windows.
  void read_log_reference() {
    const DriftLogOptions log = log_of(options_.reference);
    const drift::RunOptions run = run_of(log);
    expect_readable_twice(log);
    drift::RunNotes notes;
    const drift::Map map = drift::make_map(run, encoder(options_.reference), key_,
                                           drift::Holdout::Place, context_.progress, notes);
    const drift::ProfileBasis basis{encoder(options_.reference), key_, map};
    if (options_.calibrate) {
      read_window(map, false);
      const auto slicing = drift::calibration_windows(
          *options_.calibrate, key_, sides_.window.units, map.seen - map.units, notes.lines);
      drift::ReferenceWindows made =
          drift::make_reference_windows(run, basis, *slicing, context_.progress, notes);
      sides_.reference = std::move(made.reference);
      sides_.calibration = std::move(made.windows);
    } else {
      sides_.reference = drift::make_profile(run, basis, true, context_.progress, notes);
    }
    add_notes(sides_.reference, notes, run, "reference");
    if (!options_.calibrate) read_window(map, false);
  }

  void read_window(const drift::Map& map, bool sealed) {
    if (is_stored(options_.window)) {
      sides_.window = drift::read_profile(options_.window);
      return;
    }
    if (sealed) {
      throw input_error({.message = "a sealed reference holds no map to profile this log with",
                         .file = options_.window,
                         .hint = "profile it first: loraproof drift profile LOG --map MAP"});
    }
    const drift::RunOptions run = run_of(log_of(options_.window));
    drift::RunNotes notes;
    sides_.window = drift::make_profile(run, {encoder(options_.window), key_, map}, false,
                                        context_.progress, notes);
    add_notes(sides_.window, notes, run, "window");
  }

  void add_notes(const drift::Profile& profile, const drift::RunNotes& notes,
                 const drift::RunOptions& run, const char* name) {
    expect_usable(profile, notes);
    sides_.malformed.push_back(malformed_measure(notes, run.inputs));
    sides_.malformed.back().subject = name;
  }

  [[nodiscard]] DriftLogOptions log_of(const std::string& path) const {
    DriftLogOptions log = options_.log;
    log.inputs = {path};
    return log;
  }

  [[nodiscard]] const drift::Encoder& encoder(const std::string& path) const {
    if (sides_.encoder) return *sides_.encoder;
    throw usage_error({.message = "this is no profile, and to profile a log takes a tokenizer",
                       .where = path,
                       .hint = "--tokenizer DIR"});
  }

  const DriftCompareOptions& options_;
  Context& context_;
  drift::Key key_;
  DriftSides sides_;
};

}  // namespace

DriftSides read_drift_sides(const DriftCompareOptions& options, Context& context) {
  expect_fitting_flags(options);
  return SideReader(options, context).read();
}

}  // namespace loraproof::commands
