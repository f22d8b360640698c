// SPDX-License-Identifier: Apache-2.0
#include <exception>
#include <filesystem>
#include <new>

#include "loraproof/commands/errors.h"

namespace loraproof::commands {

Error plain_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return input_error(
        {.message = "out of memory", .hint = "pass --memory SIZE to stream the weights"});
  } catch (const std::filesystem::filesystem_error& error) {
    return input_error({.message = error.code().message(), .file = error.path1().string()});
  } catch (const std::exception& error) {
    return internal_error({.message = error.what(), .hint = "please report this"});
  } catch (...) {
    return internal_error({.message = "an unknown exception", .hint = "please report this"});
  }
}

}  // namespace loraproof::commands
