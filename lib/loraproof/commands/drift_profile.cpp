// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/drift_profile.h"

#include <fmt/format.h>
#include <utility>

#include "loraproof/commands/drift_log.h"
#include "loraproof/core/digest.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/drift/merge.h"
#include "loraproof/drift/profile_file.h"
#include "loraproof/drift/run.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {
namespace {

void write_result(const DriftOutput& out, const std::string& bytes, Context& context) {
  const std::string text = out.line ? drift::to_line(bytes) : bytes;
  if (out.path.empty() || out.path == "-") {
    context.document = text;
  } else {
    write_file_atomically(out.path, text);
  }
}

void expect_output(const DriftOutput& out) {
  if (!out.path.empty() || out.line) return;
  throw usage_error({.message = "nowhere to write to",
                     .where = "--output",
                     .hint = "-o FILE, or --line for one line of text on stdout"});
}

report::Measure profile_measure(std::string message, std::int64_t units) {
  return {.id = "drift.profile",
          .n = units,
          .message = std::move(message),
          .outcome = report::Outcome::Pass};
}

// Of a profile that comes from logs: what could not be read, and how that is judged.
struct LogVerdict {
  PolicyOptions policy;
  std::optional<report::Measure> malformed;
};

report::Report finish(report::Report report, const drift::Profile& profile, const DriftOutput& out,
                      Context& context, LogVerdict log = {}) {
  const std::string bytes = drift::to_bytes(profile);
  report.metrics["profile"] = metrics_of(profile);
  report.metrics["profile"]["sha256"] = sha256_of(bytes);
  std::vector<report::Measure> measures = {profile_measure(summary(profile), profile.units)};
  if (log.malformed) {
    // A check that passes is printed without its message; which lines are missing is always said.
    if (*log.malformed->value > 0) measures.front().message += "; " + log.malformed->message;
    measures.push_back(*std::move(log.malformed));
  }
  report.checks = report::gate(measures, load_policy(log.policy, Json::object(), ""));
  write_result(out, bytes, context);
  return report;
}

}  // namespace

report::Report drift_profile(const DriftProfileOptions& options, Context& context) {
  expect_output(options.out);
  const drift::RunOptions run = run_of(options.log);
  if (options.map.empty()) expect_readable_twice(options.log);
  if (options.reference && options.map.empty()) {
    throw usage_error(
        {.message = "without --map a profile is a reference anyway", .where = "--reference"});
  }
  const drift::Key key = key_of(options.log.key);
  std::optional<drift::Map> map;
  if (!options.map.empty()) map = drift::read_map(options.map);
  if (options.reference && map->holdout == drift::Holdout::Place) {
    throw input_error(
        {.message = "this map was drawn by place in its own files, which parts can't reproduce",
         .file = options.map,
         .hint = "make one for parts: loraproof drift map FILES -o MAP"});
  }
  const drift::Encoder encoder(options.log.tokenizer);
  drift::RunNotes notes;
  if (!map) {
    map = drift::make_map(run, encoder, key, drift::Holdout::Place, context.progress, notes);
  }
  const bool leave_out = options.map.empty() || options.reference;
  const drift::Profile profile =
      drift::make_profile(run, {encoder, key, *map}, leave_out, context.progress, notes);
  expect_usable(profile, notes);
  report::Report report = report_of("drift profile");
  add_inputs(report, options.log, encoder);
  if (!options.map.empty()) report.inputs.push_back({"map", options.map, profile.fingerprint.map});
  return finish(std::move(report), profile, options.out, context,
                {options.policy, malformed_measure(notes, options.log.inputs)});
}

report::Report drift_map(const DriftMapOptions& options, Context& context) {
  expect_output(options.out);
  const drift::RunOptions run = run_of(options.log);
  const drift::Key key = key_of(options.log.key);
  const drift::Encoder encoder(options.log.tokenizer);
  drift::RunNotes notes;
  const drift::Map map =
      drift::make_map(run, encoder, key, drift::Holdout::Record, context.progress, notes);
  report::Report report = report_of("drift map");
  add_inputs(report, options.log, encoder);
  report.metrics["map"] = {{"units", map.units},
                           {"seen", map.seen},
                           {"tokens", map.token_total},
                           {"distinct_tokens", map.tokens.size()},
                           {"digest", drift::fingerprint_of(map).map}};
  const std::vector<report::Measure> measures = {
      profile_measure(fmt::format("{} of {} units drawn, {} tokens, {} distinct", map.units,
                                  map.seen, map.token_total, map.tokens.size()),
                      map.units),
      malformed_measure(notes, options.log.inputs)};
  report.checks = report::gate(measures, load_policy(options.policy, Json::object(), ""));
  write_result(options.out, drift::to_bytes(map), context);
  return report;
}

report::Report drift_merge(const DriftMergeOptions& options, Context& context) {
  expect_output(options.out);
  report::Report report = report_of("drift merge");
  std::optional<drift::Profile> sum;
  for (const std::string& path : options.profiles) {
    report.inputs.push_back({"profile", path, ""});
    drift::for_each_profile(path, [&](drift::Profile profile) {
      if (!sum) {
        if (profile.seal) {
          throw input_error({.message = "a sealed profile can't be merged",
                             .hint = "merge the parts first, then seal"});
        }
        sum = std::move(profile);
      } else {
        drift::merge(*sum, profile);
      }
    });
  }
  return finish(std::move(report), *sum, options.out, context);
}

report::Report drift_seal(const DriftSealOptions& options, Context& context) {
  expect_output(options.out);
  drift::Profile profile = drift::read_profile(options.profile);
  report::Report report = report_of("drift seal");
  report.inputs = {{"profile", options.profile, ""}};
  const drift::Profile sealed =
      drift::seal(std::move(profile), key_of(options.key), {.min_prompts = options.min_prompts});
  return finish(std::move(report), sealed, options.out, context);
}

}  // namespace loraproof::commands
