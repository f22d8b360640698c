// SPDX-License-Identifier: Apache-2.0
// `drift map` and `drift profile`: logs in, a map or a profile out. Worker threads take batches of
// lines; what they count adds up to the same bytes however many there are.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/core/progress.h"
#include "loraproof/drift/batch.h"
#include "loraproof/drift/hash.h"
#include "loraproof/drift/map.h"
#include "loraproof/drift/profile.h"
#include "loraproof/drift/record.h"
#include "loraproof/drift/slices.h"
#include "loraproof/drift/token_facts.h"
#include "loraproof/text/tokenizer.h"

namespace loraproof::drift {

/// A tokenizer with what profiles need of it.
struct Encoder {
  /// `path`: tokenizer.json or its folder.
  explicit Encoder(const std::filesystem::path& path);
  std::filesystem::path file;
  text::Tokenizer tokenizer;
  TokenFacts facts;
  std::string digest;
};

struct RunOptions {
  std::vector<std::string> inputs;  ///< paths; "-" is stdin
  RecordOptions record;
  int threads = 1;
  bool strict = false;  ///< the first malformed line ends the run
  std::string part;     ///< name of the part; "": one for each input, made from its content
  std::size_t max_line_bytes = std::size_t{8} << 20;
};

/// Malformed lines as a person looks for them.
struct BadLines {
  std::int64_t count = 0;
  std::vector<BadLine> first;  ///< up to kFirstLines of each input, sorted
};
struct RunNotes {
  std::int64_t lines = 0;    ///< that were not blank
  std::int64_t skipped = 0;  ///< no requests (Vllm)
  std::array<BadLines, kMalformedKinds> bad;
};

/// Names of the features of a profile: those of the options, and "finish_reason" of outputs.
[[nodiscard]] std::vector<std::string> feature_names(const RecordOptions& options);

/// Draws about a quarter of the units and makes a map of them.
[[nodiscard]] Map make_map(const RunOptions& options, const Encoder& encoder, const Key& key,
                           Holdout holdout, Progress& progress, RunNotes& notes);

/// What a log is profiled with.
struct ProfileBasis {
  const Encoder& encoder;
  const Key& key;
  const Map& map;
};

/// Profiles the units; with `leave_out` without those that the map was made of. Input Error when
/// map and options (side, system turns, clusters), tokenizer or key don't belong together.
[[nodiscard]] Profile make_profile(const RunOptions& options, const ProfileBasis& basis,
                                   bool leave_out, Progress& progress, RunNotes& notes);

/// The same for a reference, and beside it the counts of windows taken from it.
struct ReferenceWindows {
  Profile reference;
  std::vector<Segment> windows;
};
[[nodiscard]] ReferenceWindows make_reference_windows(const RunOptions& options,
                                                      const ProfileBasis& basis,
                                                      const Slicing& slicing, Progress& progress,
                                                      RunNotes& notes);

}  // namespace loraproof::drift
