// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/errors.h"

#include <c10/util/Exception.h>

namespace loraproof::commands {

Error current_error() {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return input_error({.message = error.what_without_backtrace(),
                        .hint = "pass --memory SIZE to stream the weights"});
  } catch (const c10::Error& error) {
    return internal_error(
        {.message = error.what_without_backtrace(), .hint = "please report this"});
  } catch (...) {
    return plain_error();
  }
}

}  // namespace loraproof::commands
