// SPDX-License-Identifier: Apache-2.0
// What an action was refused with: the Error it threw, or a failed test.
#pragma once

#include <functional>
#include <string>

#include "loraproof/core/error.h"
#include "support/catch.h"

namespace loraproof::test {

/// The Error of `action`; the test fails when it throws none.
inline Error refused(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  FAIL("nothing was refused");
  return internal_error({});
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace loraproof::test
