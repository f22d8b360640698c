// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "loraproof/commands/drift_compare.h"
#include "loraproof/commands/drift_profile.h"

namespace loraproof::cli {
namespace {

// How a log is read, but for which log and the tokenizer.
void add_reading_flags(CLI::App& app, commands::DriftLogOptions& log) {
  add_choice_with_default(app, "--log-format", log.format, commands::kLogFormatNames,
                          "What a line looks like");
  add_choice(app, "--side", log.side, commands::kSideNames,
             "What is profiled: prompt (default) or output");
  app.add_option("--field", log.field,
                 "JSON pointer of the prompt (default /prompt, else the user turns of /messages)")
      ->type_name("POINTER");
  app.add_option("--output-field", log.output_field,
                 "JSON pointer of the output (default /output); implies --side output")
      ->type_name("POINTER");
  app.add_flag("--ids", log.ids, "The field holds token ids (default field /ids)");
  app.add_flag("--keep-system", log.keep_system, "Profile system and developer turns too");
  app.add_option("--cluster", log.cluster, "JSON pointer of a session id: sessions are the units")
      ->type_name("POINTER");
  app.add_option("--key", log.key, "File with a secret for the hashes (default: a published key)")
      ->type_name("FILE");
  app.add_option("--threads", log.threads, "Worker threads (0: one for each core)")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  app.add_flag("--strict", log.strict, "Stop at the first malformed line");
}

// What a profile counts beside the text; a map has none of it.
void add_field_flags(CLI::App& app, commands::DriftLogOptions& log) {
  app.add_option("--finish-field", log.finish_field,
                 "JSON pointer of the finish reason of an output (default /finish_reason)")
      ->type_name("POINTER");
  app.add_option("--feature", log.features, "Also count the values of this field; repeatable")
      ->type_name("[NAME=]POINTER")
      ->allow_extra_args(false);
  app.add_option("--by", log.by, "Also segment by segment: a field with at most 64 values")
      ->type_name("[NAME=]POINTER");
}

void add_log_flags(CLI::App& app, commands::DriftLogOptions& log) {
  app.add_option("inputs", log.inputs, "Logs: JSON Lines, also .gz and .zst; - is stdin")
      ->type_name("FILE")
      ->required();
  app.add_option("--tokenizer", log.tokenizer, "tokenizer.json, or the folder of the model")
      ->type_name("DIR")
      ->required();
  add_reading_flags(app, log);
}

void add_result_flags(CLI::App& app, commands::DriftOutput& out) {
  app.add_option("--output,-o", out.path, "Where the result goes; - is stdout")->type_name("FILE");
  app.add_flag("--line", out.line, "Write one line of text (without -o to stdout)");
}

struct CompareFlags {
  commands::DriftCompareOptions options;
  std::string alpha, psi, kl;  // text: they are --set of a name
  std::vector<const CLI::Option*> reading;

  [[nodiscard]] commands::DriftCompareOptions result() const {
    commands::DriftCompareOptions with_limits = options;
    std::vector<std::string>& sets = with_limits.policy.sets;
    if (!alpha.empty()) sets.push_back("drift.alpha=" + alpha);
    if (!psi.empty()) sets.push_back("drift.psi.max=" + psi);
    if (!kl.empty()) sets.push_back("drift.kl.max=" + kl);
    for (const CLI::Option* option : reading) {
      if (option->count() > 0) with_limits.log_flags.push_back(option->get_name());
    }
    return with_limits;
  }
};

struct Flags {
  CompareFlags compare;
  commands::DriftMapOptions map;
  commands::DriftProfileOptions profile;
  commands::DriftMergeOptions merge;
  commands::DriftSealOptions seal;
};

CLI::App* add_profile(CLI::App& app, commands::DriftProfileOptions& options) {
  CLI::App* sub = app.add_subcommand("profile", "Count a log into a profile");
  add_log_flags(*sub, options.log);
  add_field_flags(*sub, options.log);
  sub->add_option("--part", options.log.part, "Name of this part (default: made from the content)")
      ->type_name("NAME");
  sub->add_option("--map", options.map,
                  "Map or reference to profile with (default: this is a reference, make its map)")
      ->type_name("FILE");
  sub->add_flag("--reference", options.reference,
                "With --map: part of the reference, leave out what the map was made of");
  add_result_flags(*sub, options.out);
  add_policy_flags(*sub, options.policy);
  return sub;
}

CLI::App* add_map(CLI::App& app, commands::DriftMapOptions& options) {
  CLI::App* sub =
      app.add_subcommand("map", "Learn a map for a reference that is profiled in parts");
  add_log_flags(*sub, options.log);
  add_result_flags(*sub, options.out);
  add_policy_flags(*sub, options.policy);
  return sub;
}

void add_sequence_flags(CLI::App& app, commands::DriftSequenceOptions& options) {
  app.add_option("--window", options.number,
                 "This is the Kth window compared with REF: its level is 6 alpha/(pi^2 K^2)")
      ->type_name("K")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--history", options.history,
                 "File that remembers the windows: counts them, and finds creep over them")
      ->type_name("FILE");
  app.add_option("--run-length", options.run_length,
                 "At most one false alarm in N windows, and only what is seen twice in three")
      ->type_name("N")
      ->check(CLI::Range(20, 1 << 30));
}

CLI::App* add_compare(CLI::App& app, CompareFlags& flags) {
  CLI::App* sub = app.add_subcommand("compare", "Has CUR moved away from REF? Profiles or logs");
  commands::DriftCompareOptions& options = flags.options;
  sub->add_option("REF", options.reference, "Reference: a profile, or a log")
      ->type_name("FILE")
      ->required();
  sub->add_option("CUR", options.window, "The window to judge: a profile, a log, or - (a log)")
      ->type_name("FILE")
      ->required();
  sub->add_option("--tokenizer", options.log.tokenizer,
                  "tokenizer.json or its folder: needed for logs, and to show tokens as text")
      ->type_name("DIR");
  add_sequence_flags(*sub, options.sequence);
  add_choice(*sub, "--calibrate", options.calibrate, commands::kCalibrationNames,
             "Limits from the log REF itself: windows of it at random, or in their order")
      ->type_name("random|time");
  sub->add_option("--prom", options.prometheus.file, "Also write metrics for Prometheus")
      ->type_name("FILE");
  sub->add_option("--prom-label", options.prometheus.labels, "Label of these metrics; repeatable")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  sub->add_option(
         "--alpha", flags.alpha,
         "Level of all windows together (default 0.05); with --run-length of drift.evidence alone")
      ->type_name("P")
      ->check(CLI::Number);
  sub->add_option("--psi", flags.psi, "Fail where debiased PSI is above X, and significant")
      ->type_name("X")
      ->check(CLI::Number);
  sub->add_option("--kl", flags.kl, "Fail where debiased KL (nats) is above X, and significant")
      ->type_name("X")
      ->check(CLI::Number);
  const std::vector<CLI::Option*> others = sub->get_options();
  add_reading_flags(*sub, options.log);
  add_field_flags(*sub, options.log);
  for (const CLI::Option* option : sub->get_options()) {
    if (std::ranges::find(others, option) == others.end()) flags.reading.push_back(option);
  }
  add_policy_flags(*sub, options.policy);
  return sub;
}

CLI::App* add_merge(CLI::App& app, commands::DriftMergeOptions& options) {
  CLI::App* sub = app.add_subcommand("merge", "Add profiles of parts up");
  sub->add_option("profiles", options.profiles, "Profiles; a file may hold many, one a line")
      ->type_name("FILE")
      ->required();
  add_result_flags(*sub, options.out);
  return sub;
}

CLI::App* add_seal(CLI::App& app, commands::DriftSealOptions& options) {
  CLI::App* sub = app.add_subcommand("seal", "Leave out of a profile what must not be shared");
  sub->add_option("profile", options.profile, "Profile")->type_name("FILE")->required();
  sub->add_option("--min-prompts", options.min_prompts, "Tokens in fewer prompts are folded")
      ->check(CLI::Range(2, 1 << 30))
      ->capture_default_str();
  sub->add_option("--key", options.key, "The secret that the profile was made with")
      ->type_name("FILE");
  add_result_flags(*sub, options.out);
  return sub;
}

}  // namespace

RunCommand add_drift(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* compare = add_compare(app, flags->compare);
  CLI::App* profile = add_profile(app, flags->profile);
  CLI::App* map = add_map(app, flags->map);
  CLI::App* merge = add_merge(app, flags->merge);
  CLI::App* seal = add_seal(app, flags->seal);
  for (CLI::App* sub : {compare, profile, map, merge, seal})
    sub->fallthrough();  // the flags of reports
  app.require_subcommand(1);
  app.footer("loraproof drift REF CUR is short for loraproof drift compare REF CUR.");
  return [flags, compare, profile, map, merge](commands::Context& context) {
    if (compare->parsed()) return commands::drift_compare(flags->compare.result(), context);
    if (profile->parsed()) return commands::drift_profile(flags->profile, context);
    if (map->parsed()) return commands::drift_map(flags->map, context);
    if (merge->parsed()) return commands::drift_merge(flags->merge, context);
    return commands::drift_seal(flags->seal, context);
  };
}

}  // namespace loraproof::cli
