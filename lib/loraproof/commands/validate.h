// SPDX-License-Identifier: Apache-2.0
// Does this adapter, on this base, still behave as its golden set says?
#pragma once

#include <optional>
#include <string>

#include "loraproof/commands/context.h"

namespace loraproof::commands {

struct ValidateOptions {
  std::string base;                    ///< folder or org/name
  std::optional<std::string> adapter;  ///< DIR or NAME=DIR; none: a merged checkpoint
  std::string golden;                  ///< suite folder or prompts.jsonl
  std::string reference;     ///< name of the reference; "": the adapter's, or the only one
  std::int64_t top_k = 256;  ///< recording: entries kept per distribution
  bool force = false;        ///< recording: replace an existing reference
  bool timings = false;      ///< fill Report::run
  bool dry_run = false;      ///< stop before any weight is read
  EngineOptions engine;
  PolicyOptions policy;
};

/// Compares with the recorded reference. Throws Error for unusable inputs (exit 2 or 3); everything
/// that was found out is in the report.
[[nodiscard]] report::Report validate(const ValidateOptions& options, Context& context);

/// Records a reference instead (--record): decodes, scores, measures the noise floor, writes.
[[nodiscard]] report::Report record(const ValidateOptions& options, Context& context);

}  // namespace loraproof::commands
