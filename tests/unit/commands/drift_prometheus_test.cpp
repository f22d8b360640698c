// SPDX-License-Identifier: Apache-2.0
// Prometheus' text format, by hand here; tests/live/prometheus_live.py reads it with their parser.
#include "loraproof/commands/drift_prometheus.h"

#include <string>

#include "loraproof/core/error.h"
#include "support/catch.h"

namespace loraproof::commands {
namespace {

report::Report report_of_window() {
  report::Report report;
  report.metrics = {{"reference", {{"units", 1000}}},
                    {"window", {{"units", 500}}},
                    {"drift",
                     {{"level", 0.05},
                      {"lenses",
                       {{{"id", "drift.sketch"}, {"subject", ""}, {"adjusted_p", 0.25}},
                        {{"id", "drift.url"}, {"subject", ""}, {"adjusted_p", nullptr}}}}}}};
  report.checks = {{.id = "drift.feature",
                    .subject = "a \"quoted\\\" tier\nof two lines",
                    .status = report::Status::Fail,
                    .value = 0.5,
                    .limit = report::Limit{.max = 0.05}},
                   {.id = "drift.url", .status = report::Status::Skipped}};
  return report;
}

bool has_line(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != text.npos;
}

}  // namespace

TEST_CASE("metrics have help, type, labels and escapes") {
  const std::string text = prometheus_text(report_of_window(), {"service=shop \"eu\""}, 1700000000);
  CHECK(text.starts_with("# HELP loraproof_drift_last_run_timestamp_seconds "));
  CHECK(has_line(text, "# TYPE loraproof_drift_check_failed gauge"));
  CHECK(has_line(
      text, R"(loraproof_drift_last_run_timestamp_seconds{service="shop \"eu\""} 1700000000)"));
  CHECK(has_line(text, R"(loraproof_drift_units{service="shop \"eu\"",side="window"} 500)"));
  CHECK(has_line(text, R"(loraproof_drift_checks{service="shop \"eu\"",status="fail"} 1)"));
  CHECK(has_line(text,
                 R"(loraproof_drift_check_failed{service="shop \"eu\"",check="drift.feature",)"
                 R"(subject="a \"quoted\\\" tier\nof two lines"} 1)"));
  CHECK(has_line(
      text,
      R"(loraproof_drift_adjusted_p{service="shop \"eu\"",check="drift.sketch",subject=""} 0.25)"));
  CHECK(text.find("null") == text.npos);
  CHECK(text.ends_with("\n"));
}

TEST_CASE("labels that Prometheus would refuse, or that hide ours, are usage errors") {
  for (const char* label : {"", "=x", "no", "1a=x", "a-b=x", "__name=x", "check=x", "ä=x"}) {
    INFO(label);
    CHECK_THROWS_AS(check_prometheus({.file = "f", .labels = {label}}), Error);
  }
  CHECK_THROWS_AS(check_prometheus({.file = "f", .labels = {"a=1", "a=2"}}), Error);
  CHECK_THROWS_AS(check_prometheus({.labels = {"a=1"}}), Error);
  CHECK_NOTHROW(check_prometheus({.file = "f", .labels = {"a=", "_b2=x=y"}}));
}

}  // namespace loraproof::commands
