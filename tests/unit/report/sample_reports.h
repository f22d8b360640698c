// SPDX-License-Identifier: Apache-2.0
// The reports behind golden/reports: written out by hand, so that a writer has every kind of
// content to show. Used by the test that compares and by the program that rewrites the approved
// files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loraproof/report/report.h"

namespace loraproof::report::test {

struct SampleReport {
  std::string_view name;
  Report report;
};

[[nodiscard]] std::vector<SampleReport> sample_reports();

/// The name of a sample's approved file in a format: "fail.xml" for junit.
[[nodiscard]] inline std::string approved_file(std::string_view name, std::string_view format) {
  const std::string_view extension = format == "text"       ? "txt"
                                     : format == "junit"    ? "xml"
                                     : format == "markdown" ? "md"
                                                            : format;
  return std::string(name) + "." + std::string(extension);
}

}  // namespace loraproof::report::test
