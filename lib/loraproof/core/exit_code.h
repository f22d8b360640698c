// SPDX-License-Identifier: Apache-2.0
// The exit codes of the binary. Nothing else in the tree names an exit number.
#pragma once

#include "loraproof/core/error.h"

namespace loraproof {

enum class ExitCode : int {
  Pass = 0,          ///< Every gate passed (warnings allowed unless --fail-on warn).
  Fail = 1,          ///< A gate failed.
  Usage = 2,         ///< The command line or the configuration is wrong.
  Input = 3,         ///< An input is missing, unreadable, malformed or refused.
  Inconclusive = 4,  ///< Too few samples, or a required check could not run.
  Internal = 5,      ///< A defect of loraproof.
};

/// The exit code that an error of this kind ends the process with.
[[nodiscard]] constexpr ExitCode exit_code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Usage: return ExitCode::Usage;
    case ErrorKind::Input: return ExitCode::Input;
    case ErrorKind::Internal: break;
  }
  return ExitCode::Internal;
}

}  // namespace loraproof
