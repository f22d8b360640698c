// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/drift_log.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <thread>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::commands {
namespace {

constexpr std::int64_t kUselessLines = 20;  // so many lines, none of them usable: a wrong --field

drift::FeatureField field_of(const std::string& spec, const char* option) {
  const std::size_t equals = spec.find('=');
  const bool named = equals != spec.npos && equals > 0 && spec.find('/') > equals;
  const std::string path = named ? spec.substr(equals + 1) : spec;
  return {named ? spec.substr(0, equals) : spec, drift::json_pointer(path, option)};
}

// Those of --feature; the field of --by is one of them, or comes last.
std::vector<drift::FeatureField> features_of(const DriftLogOptions& log) {
  std::vector<drift::FeatureField> fields;
  std::set<std::string> names = {"finish_reason"};
  const auto add = [&](drift::FeatureField field, const char* option) {
    if (!names.insert(field.name).second) {
      throw usage_error({.message = "two features of one name",
                         .where = option,
                         .found = field.name,
                         .hint = fmt::format("give it another: {} NAME=/path", option)});
    }
    fields.push_back(std::move(field));
  };
  for (const std::string& spec : log.features) add(field_of(spec, "--feature"), "--feature");
  const bool is_feature = std::ranges::find(log.features, log.by) != log.features.end();
  if (!log.by.empty() && !is_feature) add(field_of(log.by, "--by"), "--by");
  return fields;
}

drift::RecordOptions record_of(const DriftLogOptions& log) {
  drift::RecordOptions record;
  record.format = log.format;
  const bool output = log.side == drift::Side::Output || !log.output_field.empty();
  if (output && (log.side == drift::Side::Prompt || !log.field.empty())) {
    throw usage_error({.message = "a profile is of prompts or of outputs",
                       .where = "--output-field",
                       .hint = "make two profiles: one with --field, one with --output-field"});
  }
  record.side = output ? drift::Side::Output : drift::Side::Prompt;
  record.field = output ? drift::json_pointer(log.output_field, "--output-field")
                        : drift::json_pointer(log.field, "--field");
  record.finish_field = drift::json_pointer(log.finish_field, "--finish-field");
  record.cluster = drift::json_pointer(log.cluster, "--cluster");
  record.ids = log.ids;
  record.keep_system = log.keep_system;
  record.features = features_of(log);
  if (!log.by.empty()) record.by = field_of(log.by, "--by").name;
  return record;
}

std::string lines_text(const drift::BadLines& bad, const std::vector<std::string>& inputs) {
  std::string text;
  std::size_t shown = 0;
  for (const drift::BadLine& line : bad.first) {
    if (shown++ == drift::kFirstLines) break;
    const std::string file = inputs.size() > 1 ? inputs[line.input] + ":" : "";
    text += fmt::format("{}{}{}", shown > 1 ? ", " : "", file, line.line);
  }
  return text + (bad.count > static_cast<std::int64_t>(drift::kFirstLines) ? ", ..." : "");
}

std::int64_t bad_lines(const drift::RunNotes& notes) {
  std::int64_t bad = 0;
  for (const drift::BadLines& lines : notes.bad) bad += lines.count;
  return bad;
}

// "2 of 242 lines were left out; 1 not JSON: line 241; 1 field missing: line 242"
std::string bad_text(const drift::RunNotes& notes, const std::vector<std::string>& inputs) {
  std::string text = fmt::format("{} of {} lines were left out", bad_lines(notes), notes.lines);
  for (std::size_t kind = 0; kind < drift::kMalformedKinds; ++kind) {
    const drift::BadLines& lines = notes.bad[kind];
    if (lines.count == 0) continue;
    text += fmt::format("; {} {}: line {}", lines.count,
                        name_of(static_cast<drift::Malformed>(kind)), lines_text(lines, inputs));
  }
  return text;
}
Json segments_of(const drift::Profile& profile) {
  if (profile.segmented_by.empty()) return nullptr;
  Json units = Json::object();
  for (const drift::Segment& segment : profile.segments)
    units[segment.value] = segment.counts.units;
  return {{"by", profile.segmented_by}, {"units", units}};
}

}  // namespace

drift::Key key_of(const std::string& file) {
  return file.empty() ? drift::Key::published() : drift::Key::from_file(file);
}

drift::RunOptions run_of(const DriftLogOptions& log) {
  const bool has_stdin = std::ranges::count(log.inputs, "-") > 0;
  if (has_stdin && log.inputs.size() > 1) {
    throw usage_error({.message = "stdin can't be read along with files", .where = "-"});
  }
  if (log.part.size() > 128)
    throw usage_error({.message = "the name is too long", .where = "--part"});
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  return {.inputs = log.inputs,
          .record = record_of(log),
          .threads = log.threads > 0 ? log.threads : std::min(cores, 64),
          .strict = log.strict,
          .part = log.part};
}

void expect_readable_twice(const DriftLogOptions& log) {
  for (const std::string& input : log.inputs) {
    std::error_code ignored;
    const bool is_pipe = input == "-" || (std::filesystem::exists(input, ignored) &&
                                          !std::filesystem::is_regular_file(input, ignored) &&
                                          !std::filesystem::is_directory(input, ignored));
    if (!is_pipe) continue;
    throw usage_error({.message = "a reference is read twice: once for its map, once for the rest",
                       .where = input,
                       .expected = "files",
                       .hint = "pass --map (of a reference, or from `loraproof drift map FILES`)"});
  }
}

report::Report report_of(std::string command) {
  report::Report report;
  report.tool.version = kVersion;
  report.command = std::move(command);
  return report;
}

report::Measure malformed_measure(const drift::RunNotes& notes,
                                  const std::vector<std::string>& inputs) {
  report::Measure measure{.id = "drift.malformed_lines", .n = notes.lines};
  const auto bad = static_cast<double>(bad_lines(notes));
  measure.value = notes.lines == 0 ? 0.0 : bad / static_cast<double>(notes.lines);
  measure.message = bad_text(notes, inputs);
  measure.hint = "look at these lines; --field says which field holds the text";
  return measure;
}

std::string summary(const drift::Profile& profile) {
  return fmt::format("{} {}s, {} tokens, {} distinct; {} held out; {} part{}{}", profile.units,
                     profile.map.clustered ? "session" : std::string(name_of(profile.map.side)),
                     profile.tokens, profile.token_counts.size(), profile.held_out,
                     profile.parts.size(), profile.parts.size() == 1 ? "" : "s",
                     profile.seal ? "; sealed" : "");
}

Json metrics_of(const drift::Profile& profile) {
  Json malformed = Json::object();
  for (std::size_t kind = 0; kind < drift::kMalformedKinds; ++kind) {
    malformed[std::string(name_of(static_cast<drift::Malformed>(kind)))] =
        profile.malformed[kind].count;
  }
  const drift::Fingerprint& print = profile.fingerprint;
  return {{"units", profile.units},
          {"empty_units", profile.empty_units},
          {"held_out", profile.held_out},
          {"records", profile.records},
          {"tokens", profile.tokens},
          {"distinct_tokens", profile.token_counts.size()},
          {"bytes", profile.bytes},
          {"malformed", malformed},
          {"segments", segments_of(profile)},
          {"parts", profile.parts},
          {"fingerprint",
           {{"digest", print.digest},
            {"tokenizer", print.tokenizer},
            {"map", print.map},
            {"key", print.key_id},
            {"settings", print.settings}}}};
}

void add_inputs(report::Report& report, const DriftLogOptions& log, const drift::Encoder& encoder) {
  for (const std::string& input : log.inputs) report.inputs.push_back({"log", input, ""});
  report.inputs.push_back({"tokenizer", encoder.file.string(), encoder.digest});
}

void expect_usable(const drift::Profile& profile, const drift::RunNotes& notes) {
  if (profile.units + profile.held_out > 0 || notes.lines < kUselessLines || notes.skipped > 0)
    return;
  throw input_error({.message = "none of the lines could be used",
                     .found = fmt::format("{} lines", notes.lines),
                     .hint = "--log-format and --field say where the text is"});
}

}  // namespace loraproof::commands
