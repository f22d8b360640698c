// SPDX-License-Identifier: Apache-2.0
// A comparison as metrics of Prometheus, in the text format that the textfile collector of
// node_exporter reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loraproof/report/report.h"

namespace loraproof::commands {

struct DriftPrometheusOptions {
  std::string file;                 ///< "": none. A textfile collector wants it to end in .prom
  std::vector<std::string> labels;  ///< NAME=VALUE, on every metric
};
/// Usage Error for what can't be a label, or is given twice.
void check_prometheus(const DriftPrometheusOptions& options);

/// Of the report of `drift compare`. Version 0.0.4 of the text format; `time`: seconds since 1970.
[[nodiscard]] std::string prometheus_text(const report::Report& report,
                                          const std::vector<std::string>& labels,
                                          std::int64_t time);
void write_prometheus(const report::Report& report, const DriftPrometheusOptions& options);

}  // namespace loraproof::commands
