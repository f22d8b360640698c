// SPDX-License-Identifier: Apache-2.0
// The command line: a table of subcommands and the flags they share. Parsing fills options structs;
// nothing is computed here.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/report/report.h"

namespace loraproof::cli {

/// How the report is written and what the exit code is made of; the same for all subcommands.
struct OutputOptions {
  std::string format = "text";
  std::vector<std::string> reports;  ///< FORMAT=FILE
  std::string fail_on = "error";
  std::string inconclusive = "own";
  bool quiet = false;
};

using RunCommand = std::function<report::Report(commands::Context&)>;

/// What a subcommand that judges nothing prints to stdout; it has no report and none of its flags.
using PrintCommand = std::function<std::string()>;

/// A subcommand adds its flags to `app` and returns what to run with them once they are parsed: one
/// of `add` and `add_print` is set.
struct Subcommand {
  const char* name;
  const char* summary;
  RunCommand (*add)(CLI::App& app);
  PrintCommand (*add_print)(CLI::App& app) = nullptr;
  /// Of a subcommand with subcommands: the one that is meant when none is named; or nullptr.
  const char* implied = nullptr;
};

[[nodiscard]] std::span<const Subcommand> subcommands();

// One per file in this folder.
RunCommand add_validate(CLI::App& app);
RunCommand add_inspect(CLI::App& app);
RunCommand add_drift(CLI::App& app);
RunCommand add_quantcheck(CLI::App& app);
RunCommand add_merge(CLI::App& app);
PrintCommand add_explain(CLI::App& app);

/// An option that takes the names of a table: `--help`, the check and the parsing all read it.
template <class Table, class Enum>
CLI::Option* add_choice(CLI::App& app, const std::string& flag, Enum& value, const Table& table,
                        const std::string& help) {
  return app
      .add_option_function<std::string>(
          flag,
          [&value, &table, flag](const std::string& name) {
            value = parse_choice(table, name, flag);
          },
          help)
      ->check(CLI::IsMember(choice_names(table)));
}

/// The same for a value that stands when the option is not given; `--help` shows it.
template <class Table, class Enum>
CLI::Option* add_choice_with_default(CLI::App& app, const std::string& flag, Enum& value,
                                     const Table& table, const std::string& help) {
  return add_choice(app, flag, value, table, help)->default_str(choice_name(table, value));
}

/// Several of the names, separated by commas.
template <class Table, class Enum>
CLI::Option* add_choices(CLI::App& app, const std::string& flag, std::vector<Enum>& values,
                         const Table& table, const std::string& help) {
  std::vector<std::string> defaults;
  for (const Enum value : values) defaults.push_back(choice_name(table, value));
  return app
      .add_option_function<std::vector<std::string>>(
          flag,
          [&values, &table, flag](const std::vector<std::string>& names) {
            values.clear();
            for (const std::string& name : names) values.push_back(parse_choice(table, name, flag));
          },
          help)
      ->delimiter(',')
      ->check(CLI::IsMember(choice_names(table)))
      ->default_str(CLI::detail::to_string(defaults));
}

// Flags that several subcommands share.
void add_engine_flags(CLI::App& app, commands::EngineOptions& options, std::string& memory);
/// All of them but --threads.
void add_device_flags(CLI::App& app, commands::EngineOptions& options, std::string& memory);
void add_policy_flags(CLI::App& app, commands::PolicyOptions& options);
void add_output_flags(CLI::App& app, OutputOptions& options);

/// Appends the report as Markdown to the file that GITHUB_STEP_SUMMARY names; does nothing without
/// it. Throws an input Error when the file cannot be written.
void append_step_summary(const report::Report& report);

/// "1GiB", "512MB", "1073741824" -> bytes. A usage Error for anything else, and for 0.
[[nodiscard]] std::uint64_t parse_size(const std::string& text);

}  // namespace loraproof::cli
