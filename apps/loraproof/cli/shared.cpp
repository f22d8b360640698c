// SPDX-License-Identifier: Apache-2.0
#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>

#include "cli/cli.h"
#include "loraproof/report/writers/table.h"

namespace loraproof::cli {

void add_device_flags(CLI::App& app, commands::EngineOptions& options, std::string& memory) {
  app.add_option("--device", options.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  add_choice_with_default(app, "--compute", options.compute, commands::kComputeNames,
                          "Compute type");
  app.add_option(
         "--memory", memory,
         "Bytes that weights may hold (8GiB, 500MB): beyond it they are streamed layer by layer")
      ->type_name("SIZE");
}

void add_engine_flags(CLI::App& app, commands::EngineOptions& options, std::string& memory) {
  add_device_flags(app, options, memory);
  app.add_option("--threads", options.threads, "CPU threads (0: libtorch's choice)")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
}

void add_policy_flags(CLI::App& app, commands::PolicyOptions& options) {
  app.add_option("--config", options.config,
                 "Policy file (default: ./loraproof.yaml where it exists)")
      ->type_name("FILE");
  app.add_option(
         "--set", options.sets,
         "Change one limit or setting: CHECK.{min,max,severity,min_n}=VALUE or SETTING=VALUE")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

void add_output_flags(CLI::App& app, OutputOptions& options) {
  app.add_option("--format", options.format, "Format of the report on stdout")
      ->check(CLI::IsMember(report::writer_names()))
      ->capture_default_str();
  app.add_option("--report", options.reports,
                 "Also write the report to a file, e.g. json=report.json; repeatable")
      ->type_name("FORMAT=FILE")
      ->allow_extra_args(false);
  app.add_option("--fail-on", options.fail_on, "Lowest status that fails the gate")
      ->check(CLI::IsMember({"error", "warn"}))
      ->capture_default_str();
  app.add_option("--inconclusive", options.inconclusive,
                 "Exit code of an inconclusive verdict: own (4), pass (0) or fail (1)")
      ->check(CLI::IsMember({"own", "pass", "fail"}))
      ->capture_default_str();
  app.add_flag("--quiet,-q", options.quiet, "No progress on stderr");
}

std::uint64_t parse_size(const std::string& text) {
  const auto bad = [&] {
    return usage_error({.message = "not a size",
                        .where = "--memory",
                        .expected = "a number with an optional unit: 8GiB, 500MB, 1073741824",
                        .found = text});
  };
  double number = 0;
  const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc()) throw bad();
  std::string unit(rest, text.data() + text.size());
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  static const std::pair<const char*, double> kUnits[] = {
      {"", 1},          {"b", 1},
      {"kb", 1e3},      {"mb", 1e6},
      {"gb", 1e9},      {"tb", 1e12},
      {"kib", 1 << 10}, {"mib", 1 << 20},
      {"gib", 1 << 30}, {"tib", 1099511627776.0},
      {"k", 1 << 10},   {"m", 1 << 20},
      {"g", 1 << 30},   {"t", 1099511627776.0}};
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    const double bytes = number * factor;
    if (!(bytes >= 1) || bytes > 9e18) throw bad();
    return static_cast<std::uint64_t>(bytes);
  }
  throw bad();
}

}  // namespace loraproof::cli
