// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fmt/format.h>

namespace loraproof {
namespace {

using Clock = std::chrono::steady_clock;

class SilentProgress : public Progress {
 public:
  void begin(std::string_view, std::int64_t, std::string_view) override {}
  void advance(std::int64_t) override {}
  void end() override {}
};

class StderrProgress : public Progress {
 public:
  explicit StderrProgress(bool is_terminal) : is_terminal_(is_terminal) {}
  ~StderrProgress() override { StderrProgress::end(); }

  void begin(std::string_view stage, std::int64_t total, std::string_view unit) override {
    end();
    stage_ = stage;
    unit_ = unit;
    total_ = total;
    done_ = 0;
    start_ = last_print_ = Clock::now();
    active_ = true;
    printed_ = false;
  }

  void advance(std::int64_t steps) override {
    done_ += steps;
    const auto now = Clock::now();
    // A terminal is redrawn ten times a second after the first second; a log gets a line each 10 s.
    const auto pause = is_terminal_ ? std::chrono::milliseconds(printed_ ? 100 : 1000)
                                    : std::chrono::milliseconds(10'000);
    if (active_ && now - last_print_ >= pause) print(now);
  }

  void end() override {
    if (active_ && printed_ && is_terminal_) std::fputs("\r\x1b[K", stderr);
    active_ = false;
  }

 private:
  // fmt::print would throw when stderr is closed or full; progress must not end the work.
  static void write(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); }

  void print(Clock::time_point now) {
    last_print_ = now;
    printed_ = true;
    const std::chrono::duration<double> elapsed = now - start_;
    const double share =
        total_ > 0 ? std::min(static_cast<double>(done_) / static_cast<double>(total_), 1.0) : 0.0;
    const std::string eta =
        share > 0 ? format_duration(elapsed * ((1 - share) / share)) + " left" : "estimating";
    const std::string text =
        fmt::format("{}: {}/{} {}, {:.0f} %, {}", stage_, done_, total_, unit_, share * 100, eta);
    if (is_terminal_) {
      const auto filled = static_cast<std::size_t>(share * 24);
      write(fmt::format("\r\x1b[K[{:<24}] {}", std::string(filled, '#'), text));
    } else {
      write(fmt::format("loraproof: {}\n", text));
    }
    std::fflush(stderr);
  }

  bool is_terminal_;
  bool active_ = false;
  bool printed_ = false;
  std::string stage_;
  std::string unit_;
  std::int64_t total_ = 0;
  std::int64_t done_ = 0;
  Clock::time_point start_;
  Clock::time_point last_print_;
};

}  // namespace

std::unique_ptr<Progress> make_silent_progress() { return std::make_unique<SilentProgress>(); }

std::unique_ptr<Progress> make_stderr_progress(bool is_terminal) {
  return std::make_unique<StderrProgress>(is_terminal);
}

std::string format_duration(std::chrono::duration<double> seconds) {
  const double value = seconds.count();
  if (value < 59.95) return fmt::format("{:.1f}s", value);
  const auto whole = std::llround(value);
  if (whole < 3600) return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  return fmt::format("{}h {:02}m", whole / 3600, whole % 3600 / 60);
}

}  // namespace loraproof
