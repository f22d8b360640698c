// SPDX-License-Identifier: Apache-2.0
// Carries a plan out: reads, computes and writes in blocks, so that memory does not grow with the
// model. Workers compute blocks and write them to their places; other threads take digests and
// flush.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "loraproof/core/progress.h"
#include "loraproof/io/digest.h"
#include "loraproof/merge/low_rank.h"
#include "loraproof/merge/plan.h"

namespace loraproof::merge {

struct TensorResult {
  std::string name;
  std::string module;  ///< PEFT's path
  MergeSums sums;
};

struct FileResult {
  std::string name;
  std::string sha256;  ///< of the whole file
  std::vector<TensorResult> touched;
  io::DigestByName base;  ///< of the source's tensors, where they were asked for
};

struct WriteOptions {
  std::filesystem::path folder;  ///< exists; files in it are new
  int threads = 1;               ///< that compute
  /// Names of files whose source's tensors get digests, in the same pass.
  std::set<std::string> digest_base = {};
  /// Files that an interrupted run left complete in the folder: kept as they are.
  std::map<std::string, FileResult> done = {};
  /// Called after each file that was written.
  std::function<void(const FileResult&)> finished = {};
};

/// Writes the weight files of the plan into the folder, and flushes them. What an
/// adapter doesn't touch and needs no conversion is the source's bytes, and so is the header where
/// names, types and shapes are the source's. Input Error when writing or reading fails; files
/// written so far stay.
[[nodiscard]] std::vector<FileResult> write_weights(const MergePlan& plan,
                                                    const WriteOptions& options,
                                                    Progress& progress);

}  // namespace loraproof::merge
