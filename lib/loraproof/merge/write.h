// SPDX-License-Identifier: Apache-2.0
// Carries a plan out: reads, computes and writes in blocks, so that memory does not grow with the
// model. Workers compute blocks, one thread writes them in order, one takes digests.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "loraproof/core/progress.h"
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
};

struct WriteOptions {
  std::filesystem::path folder;  ///< exists; files in it are new
  int threads = 1;               ///< that compute
};

/// Writes the weight files of the plan into the folder; committing the folder flushes them. What an
/// adapter doesn't touch and needs no conversion is the source's bytes, and so is the header where
/// names, types and shapes are the source's. Input Error when writing or reading fails; files
/// written so far stay.
[[nodiscard]] std::vector<FileResult> write_weights(const MergePlan& plan,
                                                    const WriteOptions& options,
                                                    Progress& progress);

}  // namespace loraproof::merge
