// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/log.h"

#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

namespace loraproof::log {
namespace {

void to_stderr(Level level, std::string_view message) {
  std::string line = level == Level::Warning ? "loraproof: warning: " : "loraproof: ";
  line += message;
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::mutex mutex;
std::function<void(Level, std::string_view)> sink = to_stderr;

void send(Level level, std::string_view message) {
  const std::lock_guard lock(mutex);
  if (sink) sink(level, message);
}

}  // namespace

void set_sink(std::function<void(Level, std::string_view)> replacement) {
  const std::lock_guard lock(mutex);
  sink = std::move(replacement);
}

void note(std::string_view message) { send(Level::Note, message); }
void warn(std::string_view message) { send(Level::Warning, message); }

}  // namespace loraproof::log
