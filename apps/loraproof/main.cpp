// SPDX-License-Identifier: Apache-2.0
// Parse, run, write the report, exit. The only place that catches.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include "cli/cli.h"
#include "loraproof/commands/errors.h"
#include "loraproof/core/exit_code.h"
#include "loraproof/core/file.h"
#include "loraproof/core/suggest.h"
#include "loraproof/report/writers/layout.h"
#include "loraproof/report/writers/table.h"

namespace loraproof::cli {
namespace {

int to_int(ExitCode code) { return static_cast<int>(code); }

bool use_colour() { return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr; }

// Unlike fmt::print this does not throw when stderr is closed or full. Names and values from files
// are in the text, so it goes out without anything that moves the cursor or forges a line.
void complain(const std::string& text) {
  const std::string line = "loraproof: " + report::printable(text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// A standard stream that was closed must not be handed to the next file we open.
void guard_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    // Read-only stands in for stdout, so that writing the report to it still fails.
    if (::open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY) != stream) return;
  }
}

void write_stdout(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw input_error({.message = "cannot write the report to stdout",
                       .hint = "is the disk full or the pipe closed?"});
  }
}

struct ReportFile {
  const report::WriterRow* writer;
  std::string path;
};

std::vector<ReportFile> report_files(const OutputOptions& output) {
  std::vector<ReportFile> files;
  for (const std::string& spec : output.reports) {
    const auto equals = spec.find('=');
    if (equals == std::string::npos || equals + 1 == spec.size()) {
      throw usage_error({.message = "not a report file",
                         .where = "--report",
                         .expected = "FORMAT=FILE",
                         .found = spec});
    }
    files.push_back({&report::writer_named(spec.substr(0, equals)), spec.substr(equals + 1)});
  }
  return files;
}

// What can't be written is found before a long run, not after it: taken out of `files`, and the
// first returned.
std::optional<Error> drop_unwritable(std::vector<ReportFile>& files) {
  std::optional<Error> first;
  std::erase_if(files, [&](const ReportFile& file) {
    try {
      expect_writable(file.path);
      return false;
    } catch (const Error& error) {
      if (!first) first = error;
      return true;
    }
  });
  return first;
}

report::GateOptions gate_of(const OutputOptions& output) {
  static const std::map<std::string, report::InconclusiveExit> kInconclusive = {
      {"own", report::InconclusiveExit::OwnCode},
      {"pass", report::InconclusiveExit::Pass},
      {"fail", report::InconclusiveExit::Fail}};
  return {.fail_on = output.fail_on == "warn" ? report::FailOn::Warn : report::FailOn::Error,
          .inconclusive = kInconclusive.at(output.inconclusive)};
}

ExitCode emit(report::Report report, const OutputOptions& output,
              const std::vector<ReportFile>& files, const std::optional<std::string>& document) {
  report.gate = gate_of(output);
  const auto attempt = [&report](const auto& write) {
    try {
      write();
    } catch (const Error& error) {
      complain(std::string("error: ") + error.what());
      if (!report.error) report.error = report::ReportError{error.kind(), error.detail()};
    }
  };
  for (const ReportFile& file : files) {
    attempt([&] { write_file_atomically(file.path, file.writer->write(report, {})); });
  }
  if (output.format == "github") attempt([&] { append_step_summary(report); });
  write_stdout(document
                   ? *document
                   : report::writer_named(output.format).write(report, {.colour = use_colour()}));
  return report.exit_code();
}

ExitCode run(const std::string& name, const RunCommand& command, const OutputOptions& output) {
  std::vector<ReportFile> files = report_files(output);
  const std::optional<Error> unwritable = drop_unwritable(files);
  const auto progress =
      output.quiet ? make_silent_progress() : make_stderr_progress(isatty(STDERR_FILENO) != 0);
  commands::Context context{.progress = *progress, .gate = gate_of(output)};
  report::Report report;
  try {
    if (unwritable) throw *unwritable;
    report = command(context);
  } catch (...) {
    const Error error = commands::current_error();
    if (error.kind() == ErrorKind::Usage) throw error;
    report.tool.version = commands::kVersion;
    report.command = name;
    report.error = report::ReportError{error.kind(), error.detail()};
    complain(std::string("error: ") + error.what());
  }
  progress->end();
  return emit(std::move(report), output, files, context.document);
}

// CLI11 says only that a subcommand is required; a mistyped one deserves its nearest neighbour.
std::string usage_message(const std::string& message, int argc, char** argv) {
  std::vector<std::string> names;
  for (const Subcommand& subcommand : subcommands()) names.emplace_back(subcommand.name);
  if (argc < 2 || argv[1][0] == '-' || std::ranges::count(names, argv[1]) > 0) return message;
  const std::string near = nearest_name(argv[1], names);
  return fmt::format("unknown subcommand '{}'{}", argv[1],
                     near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

// `loraproof drift REF CUR` is `loraproof drift compare REF CUR`: the words as CLI11 wants them, in
// reverse order. A file that is called like a subcommand needs ./ before its name.
std::vector<std::string> words_of(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  for (const Subcommand& subcommand : subcommands()) {
    if (subcommand.implied == nullptr || words.size() < 2 || words.front() != subcommand.name)
      continue;
    const CLI::App* sub = app.get_subcommand(subcommand.name);
    const auto is_named = [&](const std::string& word) {
      return word == "-h" || word == "--help" ||
             !sub->get_subcommands([&](const CLI::App* each) { return each->get_name() == word; })
                  .empty();
    };
    const bool flag_first = words[1].starts_with('-') && words[1] != "-";
    const bool named =
        flag_first ? std::any_of(words.begin() + 1, words.end(), is_named) : is_named(words[1]);
    if (!named) words.insert(words.begin() + 1, subcommand.implied);
  }
  std::reverse(words.begin(), words.end());
  return words;
}

int main_checked(int argc, char** argv) {
  CLI::App app("Proves that a LoRA adapter is fit to deploy", "loraproof");
  app.set_version_flag("--version", fmt::format("loraproof {} (libtorch {})", commands::kVersion,
                                                commands::libtorch_version()));
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 pass, 1 gate failed, 2 usage, 3 input unusable, 4 inconclusive, 5 internal.\n"
      "loraproof SUBCOMMAND --help tells more; docs/ has a page for each.");
  std::map<std::string, std::pair<RunCommand, OutputOptions>> commands;
  std::map<std::string, PrintCommand> printers;
  for (const Subcommand& subcommand : subcommands()) {
    CLI::App* sub = app.add_subcommand(subcommand.name, subcommand.summary);
    if (subcommand.add_print != nullptr) {
      printers[subcommand.name] = subcommand.add_print(*sub);
      continue;
    }
    auto& [command, output] = commands[subcommand.name];
    command = subcommand.add(*sub);
    add_output_flags(*sub, output);
  }
  try {
    app.parse(words_of(app, argc, argv));
  } catch (const CLI::Success& success) {  // --help, --version
    std::ostringstream text;
    app.exit(success, text, text);
    write_stdout(text.str());
    return to_int(ExitCode::Pass);
  } catch (const CLI::ParseError& error) {
    complain(usage_message(error.what(), argc, argv));
    complain("run with --help for the options");
    return to_int(ExitCode::Usage);
  }
  const CLI::App* subcommand = app.get_subcommands().front();
  const std::string name = subcommand->get_name();
  if (const auto printer = printers.find(name); printer != printers.end()) {
    write_stdout(printer->second());
    return to_int(ExitCode::Pass);
  }
  const auto& [command, output] = commands.at(name);
  std::string full_name = name;
  for (const CLI::App* nested : subcommand->get_subcommands())
    full_name += " " + nested->get_name();
  return to_int(run(full_name, command, output));
}

}  // namespace
}  // namespace loraproof::cli

int main(int argc, char** argv) {
  loraproof::cli::guard_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone is a failed write, with its exit code
  try {
    return loraproof::cli::main_checked(argc, argv);
  } catch (...) {
    const loraproof::Error error = loraproof::commands::current_error();
    loraproof::cli::complain(std::string("error: ") + error.what());
    return static_cast<int>(loraproof::exit_code_of(error.kind()));
  }
}
