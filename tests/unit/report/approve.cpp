// SPDX-License-Identifier: Apache-2.0
// Rewrites the approved report files: `approve_reports golden/reports`. A test run never does.
#include <filesystem>

#include "loraproof/core/file.h"
#include "loraproof/report/writers/table.h"
#include "unit/report/sample_reports.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (const auto& [name, report] : loraproof::report::test::sample_reports()) {
    for (const auto& row : loraproof::report::writers()) {
      const std::string file = loraproof::report::test::approved_file(name, row.name);
      loraproof::write_file_atomically(std::filesystem::path(argv[1]) / file,
                                       row.write(report, {}));
    }
  }
  return 0;
}
