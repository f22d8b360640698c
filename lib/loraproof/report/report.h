// SPDX-License-Identifier: Apache-2.0
// The one result object of a command. What is printed, every file format and the exit code come
// from it alone, so they can't disagree.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/exit_code.h"
#include "loraproof/core/json.h"
#include "loraproof/report/check.h"

namespace loraproof::report {

inline constexpr std::string_view kReportSchema = "loraproof.report/1";

struct ToolInfo {
  std::string name = "loraproof";
  std::string version;
  std::string libtorch;  ///< Empty: no model was run.
  std::string device;    ///< "cpu", "cuda:0"; empty: no model was run.
  std::string compute;   ///< "bf16", "fp32"; empty: no model was run.
  int threads = 0;       ///< 0: no model was run.
};

struct ReportInput {
  std::string role;  ///< "base", "adapter", "golden", "reference", "config".
  std::string path;
  std::string sha256;  ///< "sha256:..." or empty when the content was not digested.
};

enum class Verdict { Pass, Fail, Inconclusive, Error };

/// "pass", "fail", "inconclusive", "error".
[[nodiscard]] std::string_view name_of(Verdict verdict);

enum class FailOn { Error, Warn };                    ///< --fail-on
enum class InconclusiveExit { OwnCode, Pass, Fail };  ///< --inconclusive

/// How the caller wants the checks to end; part of the report so that verdict and exit code always
/// stand beside the checks they were computed from.
struct GateOptions {
  FailOn fail_on = FailOn::Error;
  InconclusiveExit inconclusive = InconclusiveExit::OwnCode;
};

struct ReportError {
  ErrorKind kind = ErrorKind::Internal;
  ErrorDetail detail;
};

/// Figures that read best side by side. Only for readers: documents have them under `metrics`.
struct Table {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< as many cells as columns
};

struct Report {
  ToolInfo tool;
  std::string command;
  std::vector<ReportInput> inputs;
  std::vector<Check> checks;
  /// One object per prompt; the keys that writers know are in docs/schema/report-1.json.
  Json prompts = Json::array();
  Json metrics = Json::object();
  std::vector<Table> tables;
  std::optional<Json> run;           ///< Times, memory, bytes read; only with --timings.
  std::optional<ReportError> error;  ///< What ended the command before it could judge.
  GateOptions gate;

  /// Error when `error` is set; else Fail when a check with severity error failed (or a check
  /// warned under FailOn::Warn); else Inconclusive when a required check of severity error is
  /// inconclusive; else Pass. A skipped check does not apply and says nothing.
  [[nodiscard]] Verdict verdict() const;
  [[nodiscard]] ExitCode exit_code() const;
};

}  // namespace loraproof::report
