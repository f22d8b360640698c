// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/validate.h"

#include <memory>

#include "cli/cli.h"

namespace loraproof::cli {

RunCommand add_validate(CLI::App& app) {
  struct Flags {
    commands::ValidateOptions options;
    std::string memory;
    bool record = false;
  };
  auto flags = std::make_shared<Flags>();
  commands::ValidateOptions& options = flags->options;
  app.add_option("--base", options.base,
                 "Base model: a Hugging Face folder, or org/name in the local cache")
      ->type_name("DIR")
      ->required();
  app.add_option("--adapter", options.adapters,
                 "PEFT adapter, repeatable; leave out for a merged checkpoint")
      ->type_name("[NAME=]DIR")
      ->allow_extra_args(false);
  app.add_option("--golden", options.golden,
                 "Golden suite: a folder with suite.yaml, or prompts.jsonl")
      ->type_name("DIR")
      ->required();
  app.add_option("--reference", options.reference,
                 "Name of the recorded reference (default: the adapter's, or the only one)")
      ->type_name("NAME");
  add_choice(app, "--against", options.against, commands::kAgainstNames,
             "same: the adapter as recorded; revision: a new version of it (default: the suite's, "
             "else same)")
      ->type_name("QUESTION");
  app.add_option("--baseline", options.baseline,
                 "Accepted JSON report: only what is worse than in it fails")
      ->type_name("FILE");
  app.add_flag("--with-base", options.with_base, "Also run the base without the adapter");
  app.add_option("--seed", options.seed, "Seed of the bootstrap intervals")->capture_default_str();
  CLI::Option* record =
      app.add_flag("--record", flags->record, "Record the reference instead of comparing with it");
  app.add_flag("--force", options.force, "With --record: replace an existing reference")
      ->needs(record);
  app.add_option("--top-k", options.top_k, "With --record: entries kept per distribution")
      ->check(CLI::Range(1, 1 << 20))
      ->needs(record)
      ->capture_default_str();
  app.add_flag("--timings", options.timings, "Put times, memory and bytes read into the report");
  app.add_flag("--dry-run", options.dry_run, "Check the files, print the plan, read no weights");
  add_engine_flags(app, options.engine, flags->memory);
  add_policy_flags(app, options.policy);
  return [flags](commands::Context& context) {
    if (!flags->memory.empty()) flags->options.engine.memory_bytes = parse_size(flags->memory);
    return flags->record ? commands::record(flags->options, context)
                         : commands::validate(flags->options, context);
  };
}

}  // namespace loraproof::cli
