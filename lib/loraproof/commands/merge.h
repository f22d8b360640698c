// SPDX-License-Identifier: Apache-2.0
// `loraproof merge`: base and adapters as one checkpoint, every element rounded once, and what the
// rounding left of the adapters. No libtorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/io/digest.h"

namespace loraproof::commands {

struct MergeOptions {
  std::string base;
  std::vector<std::string> adapters;  ///< DIR, or NAME=DIR
  std::vector<std::string> weights;   ///< NAME=W, or W for all; default 1
  std::filesystem::path out;          ///< made with the folders above it
  bool force = false;                 ///< replace `out`
  std::string combine = "cat";        ///< how several adapters become one; PEFT's names
  double density = 1;                 ///< share of the values that pruning keeps
  std::string majority_sign = "total";
  std::int64_t svd_rank = 0;   ///< 0: the largest of the adapters
  std::uint64_t seed = 0;      ///< of dare_*
  std::string dtype = "keep";  ///< keep, bf16, fp16 or fp32
  std::string base_scheme;     ///< that the base was in during training; "": none
  int threads = 0;             ///< that compute; 0: one for each core
  bool resume = false;         ///< go on with what a killed run for `out` left
  bool prove = false;          ///< read the output back and recompute it
  bool dry_run = false;        ///< say what would be written
  std::string golden;          ///< suite to compare unmerged and merged with; "": none
  EngineOptions engine;        ///< of that comparison
  PolicyOptions policy;
};

/// A merge that is whole, but not yet in its place.
struct StagedMerge {
  const std::filesystem::path& folder;
  std::span<const double> weights;  ///< --weight of each adapter, in their order
  const io::DigestByName& base;     ///< of the base's tensors
};
/// What comparing it with base and adapters came to.
struct MergeProof {
  report::ToolInfo tool;
  report::ReportInput suite;
  std::vector<report::Check> checks;
  Json prompts = Json::array();
  Json metrics = Json::object();
};
using ProveMerge = std::function<MergeProof(const StagedMerge&)>;

/// Writes `out` only where the report's exit code is 0. `prove` runs last. Errors as those of
/// reading and writing.
[[nodiscard]] report::Report merge(const MergeOptions& options, Context& context,
                                   const ProveMerge& prove = {});

}  // namespace loraproof::commands
