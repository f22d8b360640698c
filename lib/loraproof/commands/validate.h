// SPDX-License-Identifier: Apache-2.0
// Do these adapters, on this base, still behave as their golden set says?
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/golden/against.h"

namespace loraproof::commands {

inline constexpr const auto& kAgainstNames = golden::kAgainstNames;

struct ValidateOptions {
  std::string base;                   ///< folder or org/name
  std::vector<std::string> adapters;  ///< DIR or NAME=DIR each; none: a merged checkpoint
  std::string golden;                 ///< suite folder or prompts.jsonl
  std::string reference;              ///< name of the reference; "": the adapter's, or the only one
  std::optional<golden::Against> against;         ///< nothing: what the suite says
  std::optional<std::filesystem::path> baseline;  ///< report whose failures are accepted
  bool with_base = false;                         ///< also a lane without an adapter
  std::uint64_t seed = 0;                         ///< of the bootstrap
  std::int64_t top_k = 256;                       ///< recording: entries kept per distribution
  bool force = false;                             ///< recording: replace an existing reference
  bool timings = false;                           ///< fill Report::run
  bool dry_run = false;                           ///< stop before any weight is read
  EngineOptions engine;
  PolicyOptions policy;
};

/// Compares with the recorded reference. Throws Error for unusable inputs (exit 2 or 3); everything
/// that was found out is in the report.
[[nodiscard]] report::Report validate(const ValidateOptions& options, Context& context);

/// Records a reference for each adapter instead (--record): decodes, scores, measures the noise
/// floor, writes.
[[nodiscard]] report::Report record(const ValidateOptions& options, Context& context);

}  // namespace loraproof::commands
