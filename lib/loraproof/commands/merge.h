// SPDX-License-Identifier: Apache-2.0
// `loraproof merge`: base and adapters as one checkpoint, every element rounded once, and what the
// rounding left of the adapters. No libtorch.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/io/digest.h"
#include "loraproof/merge/combine.h"

namespace loraproof::commands {

/// Type of the merged weights.
enum class MergedType { Keep, Bf16, Fp16, Fp32 };
inline constexpr std::array kMergedTypeNames{
    Choice<MergedType>{MergedType::Keep, "keep"}, Choice<MergedType>{MergedType::Bf16, "bf16"},
    Choice<MergedType>{MergedType::Fp16, "fp16"}, Choice<MergedType>{MergedType::Fp32, "fp32"}};
[[nodiscard]] inline MergedType parse_merged_type(std::string_view name) {
  return parse_choice(kMergedTypeNames, name, "--dtype");
}

/// PEFT's combination types.
inline constexpr std::array kCombinationNames{
    Choice<merge::Combination>{merge::Combination::Cat, "cat"},
    Choice<merge::Combination>{merge::Combination::Linear, "linear"},
    Choice<merge::Combination>{merge::Combination::Ties, "ties"},
    Choice<merge::Combination>{merge::Combination::DareLinear, "dare_linear"},
    Choice<merge::Combination>{merge::Combination::DareTies, "dare_ties"},
    Choice<merge::Combination>{merge::Combination::MagnitudePrune, "magnitude_prune"},
    Choice<merge::Combination>{merge::Combination::Svd, "svd"}};
[[nodiscard]] inline merge::Combination parse_combination(std::string_view name) {
  return parse_choice(kCombinationNames, name, "--combine");
}

/// What elects the sign of a value: the sum over the adapters, or how many have it.
enum class MajoritySign { Total, Frequency };
inline constexpr std::array kMajoritySignNames{
    Choice<MajoritySign>{MajoritySign::Total, "total"},
    Choice<MajoritySign>{MajoritySign::Frequency, "frequency"}};
[[nodiscard]] inline MajoritySign parse_majority_sign(std::string_view name) {
  return parse_choice(kMajoritySignNames, name, "--majority-sign");
}

struct MergeOptions {
  std::string base;
  std::vector<std::string> adapters;                     ///< DIR, or NAME=DIR
  std::vector<std::string> weights;                      ///< NAME=W, or W for all; default 1
  std::filesystem::path out;                             ///< made with the folders above it
  bool force = false;                                    ///< replace `out`
  merge::Combination combine = merge::Combination::Cat;  ///< how several adapters become one
  double density = 1;                                    ///< share of the values that pruning keeps
  MajoritySign majority_sign = MajoritySign::Total;
  std::int64_t svd_rank = 0;  ///< 0: the largest of the adapters
  std::uint64_t seed = 0;     ///< of dare_*
  MergedType dtype = MergedType::Keep;
  /// Name of a scheme (quant::find_scheme, a usage Error for another) that the base was in during
  /// training; "": none.
  std::string base_scheme;
  int threads = 0;       ///< that compute; 0: one for each core
  bool resume = false;   ///< go on with what a killed run for `out` left
  bool prove = false;    ///< read the output back and recompute it
  bool dry_run = false;  ///< say what would be written
  std::string golden;    ///< suite to compare unmerged and merged with; "": none
  EngineOptions engine;  ///< of that comparison
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
