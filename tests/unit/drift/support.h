// SPDX-License-Identifier: Apache-2.0
// Profiles of small logs for the tests.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "loraproof/drift/run.h"

namespace loraproof::drift::test {

inline std::filesystem::path source_path(const std::string& relative) {
  return std::filesystem::path(LORAPROOF_SOURCE_DIR) / relative;
}

inline const Encoder& demo_encoder() {
  static const Encoder encoder(source_path("examples/demo-model/base"));
  return encoder;
}

inline std::string fixture_log() { return source_path("tests/fixtures/drift/log.jsonl").string(); }

inline std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

inline Map map_of(const RunOptions& options, Holdout holdout = Holdout::Place,
                  const Key& key = Key::published()) {
  RunNotes notes;
  const auto progress = make_silent_progress();
  return make_map(options, demo_encoder(), key, holdout, *progress, notes);
}

inline Profile profile_of(const RunOptions& options, const Map& map, bool leave_out,
                          RunNotes& notes) {
  const auto progress = make_silent_progress();
  return make_profile(options, {demo_encoder(), Key::published(), map}, leave_out, *progress,
                      notes);
}

inline Profile profile_of(const RunOptions& options, const Map& map, bool leave_out = false) {
  RunNotes notes;
  return profile_of(options, map, leave_out, notes);
}

}  // namespace loraproof::drift::test
