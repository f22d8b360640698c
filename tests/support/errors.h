// SPDX-License-Identifier: Apache-2.0
// What an input Error says; a test fails where there is none, or one of another kind.
#pragma once

#include <functional>

#include "loraproof/core/error.h"
#include "support/catch.h"

namespace loraproof::test {

inline ErrorDetail input_error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    return error.detail();
  }
  FAIL("no error");
  return {};
}

}  // namespace loraproof::test
