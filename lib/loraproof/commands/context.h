// SPDX-License-Identifier: Apache-2.0
// What every command shares: the options of the engine and of the policy, and where progress goes.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/choice.h"
#include "loraproof/core/progress.h"
#include "loraproof/report/policy.h"
#include "loraproof/report/report.h"

namespace loraproof::commands {

inline constexpr const char* kVersion = LORAPROOF_VERSION;

struct Context {
  Progress& progress;
  /// What goes to stdout instead of the report: a result that the caller asked to have there. Files
  /// of --report are written as always.
  std::optional<std::string> document = std::nullopt;
  /// How the checks will be made into an exit code: a command whose result is a file writes it only
  /// where that is 0.
  report::GateOptions gate = {};
};

/// What a forward computes in.
enum class Compute { Bf16, Fp32 };
inline constexpr std::array kComputeNames{Choice<Compute>{Compute::Bf16, "bf16"},
                                          Choice<Compute>{Compute::Fp32, "fp32"}};
/// A usage Error for a name that the table lacks, as of every parse function of options here.
[[nodiscard]] inline Compute parse_compute(std::string_view name) {
  return parse_choice(kComputeNames, name, "--compute");
}

struct EngineOptions {
  std::string device = "auto";  ///< auto, cpu, cuda or cuda:N; else a usage Error
  Compute compute = Compute::Bf16;
  std::optional<std::uint64_t> memory_bytes;  ///< weights beyond it are streamed
  int threads = 0;                            ///< 0: as many as libtorch chooses
};

struct PolicyOptions {
  std::optional<std::filesystem::path> config;  ///< --config; else ./loraproof.yaml when it exists
  std::vector<std::string> sets;                ///< --set KEY=VALUE, in order
};

/// The table of checks and settings that is part of the program (rules.yaml).
[[nodiscard]] report::RuleTable rule_table();

/// Defaults < the suite's limits < loraproof.yaml < --set.
[[nodiscard]] report::Policy load_policy(const PolicyOptions& options, const Json& suite_limits,
                                         const std::string& suite_file);

/// "2.13.0": the libtorch that this was built against.
[[nodiscard]] std::string libtorch_version();

}  // namespace loraproof::commands
