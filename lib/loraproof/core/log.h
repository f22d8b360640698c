// SPDX-License-Identifier: Apache-2.0
// Notes and warnings for people, on stderr. The library writes nothing to stdout.
#pragma once

#include <functional>
#include <string_view>

namespace loraproof::log {

enum class Level { Note, Warning };

/// Replaces where messages go (the default writes "loraproof: warning: ..." to stderr). Called once
/// at start-up; tests use it to capture. Thread-safe for calls of note() and warn().
void set_sink(std::function<void(Level, std::string_view)> sink);

void note(std::string_view message);
void warn(std::string_view message);

}  // namespace loraproof::log
