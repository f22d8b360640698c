// SPDX-License-Identifier: Apache-2.0
// What needs libtorch runs in a program of its own, loraproof-engine, which is built from the same
// main and command line. Here the commands' entry points are defined as "become that program": the
// process, its streams, its environment and its arguments stay the same. docs/adr/0007 has the why.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>
#include <vector>

#include "loraproof/commands/errors.h"
#include "loraproof/commands/inspect_adapter.h"
#include "loraproof/commands/merge_golden.h"
#include "loraproof/commands/quantcheck.h"
#include "loraproof/commands/validate.h"

namespace loraproof::commands {
namespace {

namespace fs = std::filesystem;

// Beside this program (build tree), or where `cmake --install` puts it.
fs::path find_engine() {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path installed = here / LORAPROOF_ENGINE_FOLDER / LORAPROOF_ENGINE_NAME;
  std::error_code ignored;
  if (fs::path beside = here / LORAPROOF_ENGINE_NAME; fs::exists(beside, ignored)) return beside;
  if (fs::exists(installed, ignored)) return installed.lexically_normal();
  throw input_error({.message = "a part of this installation is missing",
                     .file = installed.lexically_normal().string(),
                     .hint =
                         "loraproof copied alone lacks loraproof-engine: copy that beside it, or "
                         "install again (cmake --install puts it there)"});
}

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> arguments;
  for (std::size_t begin = 0; begin < bytes.size();) {
    const std::size_t end = bytes.find('\0', begin);
    arguments.push_back(bytes.substr(begin, end - begin));
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return arguments;
}

// OpenMP's threads spin while they wait, which on a machine with other work (any CI runner) costs
// several times the processor time of the arithmetic itself; asleep they wake up in microseconds.
// Has to be in the environment before libtorch is loaded. A user's own choice wins.
void let_idle_threads_sleep() {
  if (std::getenv("GOMP_SPINCOUNT") == nullptr) ::setenv("OMP_WAIT_POLICY", "passive", 0);
}

[[noreturn]] void become_engine() {
  let_idle_threads_sleep();
  const fs::path engine = find_engine();
  std::vector<std::string> arguments = own_arguments();
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  ::execv(engine.c_str(), pointers.data());
  throw input_error({.message = fmt::format("cannot run: {}", std::strerror(errno)),
                     .file = engine.string(),
                     .hint = "is it readable and executable?"});
}

}  // namespace

report::Report validate(const ValidateOptions&, Context&) { become_engine(); }
report::Report record(const ValidateOptions&, Context&) { become_engine(); }
report::Report merge_golden(const MergeOptions&, Context&) { become_engine(); }
report::Report quantcheck(const QuantcheckOptions&, Context&) { become_engine(); }
report::Report inspect(const InspectOptions& options, Context&) {
  if (!options.base) return inspect_adapter(options);
  become_engine();
}

Error current_error() { return plain_error(); }

}  // namespace loraproof::commands
