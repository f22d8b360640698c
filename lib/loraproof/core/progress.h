// SPDX-License-Identifier: Apache-2.0
// Progress of long work. The engine reports through this interface and knows no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace loraproof {

/// Receives the progress of one stage after another. Called from one thread.
class Progress {
 public:
  virtual ~Progress() = default;
  /// Begins a stage of `total` steps ("sweep", "layers"); ends the one before.
  virtual void begin(std::string_view stage, std::int64_t total, std::string_view unit) = 0;
  virtual void advance(std::int64_t steps = 1) = 0;
  virtual void end() = 0;
};

/// Does nothing (--quiet, tests).
[[nodiscard]] std::unique_ptr<Progress> make_silent_progress();

/// Writes to stderr: a bar with ETA redrawn in place when it is a terminal, otherwise a line each
/// 10 s. A stage shorter than a second prints nothing.
[[nodiscard]] std::unique_ptr<Progress> make_stderr_progress(bool is_terminal);

/// "1m 20s", "3.4s": used for ETA and elapsed time.
[[nodiscard]] std::string format_duration(std::chrono::duration<double> seconds);

}  // namespace loraproof
