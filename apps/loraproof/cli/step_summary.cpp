// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "cli/cli.h"
#include "loraproof/report/writers/table.h"

namespace loraproof::cli {

void append_step_summary(const report::Report& report) {
  const char* path = std::getenv("GITHUB_STEP_SUMMARY");
  if (path == nullptr || *path == '\0') return;
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file << report::writer_named("markdown").write(report, {});
  file.close();
  if (!file) {
    throw input_error({.message = std::string("cannot append the step summary: ") +
                                  (errno == 0 ? "unknown reason" : std::strerror(errno)),
                       .file = path,
                       .hint = "GITHUB_STEP_SUMMARY names this file"});
  }
}

}  // namespace loraproof::cli
