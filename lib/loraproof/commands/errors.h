// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loraproof/core/error.h"

namespace loraproof::commands {

/// Call inside a catch block: the exception in flight as an Error. Those of libtorch, the standard
/// library and memory exhaustion become internal ones without a backtrace (out of memory: an input
/// Error that names
/// --memory).
[[nodiscard]] Error current_error();

/// The same without libtorch's own exceptions, for a program that does not link it.
[[nodiscard]] Error plain_error();

}  // namespace loraproof::commands
