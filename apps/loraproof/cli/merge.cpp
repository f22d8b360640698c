// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/merge.h"

#include <memory>

#include "cli/cli.h"
#include "loraproof/commands/merge_golden.h"

namespace loraproof::cli {

RunCommand add_merge(CLI::App& app) {
  auto options = std::make_shared<commands::MergeOptions>();
  auto memory = std::make_shared<std::string>();
  app.add_option("--base", options->base, "Base model: a folder, or org/name in the local cache")
      ->type_name("DIR")
      ->required();
  app.add_option("--adapter", options->adapters, "Adapter to merge; repeatable")
      ->type_name("[NAME=]DIR")
      ->allow_extra_args(false)
      ->required();
  app.add_option("--weight", options->weights,
                 "How much of an adapter, or of all: NAME=W or W (default 1); repeatable")
      ->type_name("[NAME=]W")
      ->allow_extra_args(false);
  app.add_option("--out", options->out, "Folder of the merged model; must not exist")
      ->type_name("DIR")
      ->required();
  app.add_flag("--force", options->force, "Replace --out");
  add_choice_with_default(app, "--dtype", options->dtype, commands::kMergedTypeNames,
                          "Type of the merged weights; keep: as in the base");
  add_choice_with_default(
      app, "--combine", options->combine, commands::kCombinationNames,
      "How several adapters become one: PEFT's combination types; cat is the exact sum");
  app.add_option("--density", options->density,
                 "Share of the values that ties, dare_* and magnitude_prune keep")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add_choice_with_default(app, "--majority-sign", options->majority_sign,
                          commands::kMajoritySignNames,
                          "What elects the sign in ties and dare_ties: sums, or counts");
  app.add_option("--svd-rank", options->svd_rank,
                 "Rank of the sum for svd (0: the largest of the adapters)")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--seed", options->seed, "Of what dare_* drops")->capture_default_str();
  app.add_option("--base-scheme", options->base_scheme,
                 "Scheme that the base was in while the adapter was trained (QLoRA: nf4): merge "
                 "onto what it makes of the base, in 16 bit")
      ->type_name("NAME");
  app.add_option("--threads", options->threads, "Threads that compute (0: one for each core)")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  app.add_flag(
      "--resume", options->resume,
      "Go on with what a killed run for the same --out left; keep it if this one stops too");
  app.add_flag("--prove", options->prove,
               "Read the output back from the disk and recompute it, before it gets its name");
  app.add_flag("--dry-run", options->dry_run, "Say what would be written, write nothing");
  CLI::Option* golden =
      app.add_option("--golden", options->golden,
                     "Suite whose prompts run unmerged and merged: what differs by more than the "
                     "noise is not written")
          ->type_name("DIR");
  add_device_flags(app, options->engine, *memory);
  for (const char* flag : {"--device", "--compute", "--memory"})
    app.get_option(flag)->needs(golden);
  add_policy_flags(app, options->policy);
  return [options, memory](commands::Context& context) {
    if (options->golden.empty()) return commands::merge(*options, context);
    if (!memory->empty()) options->engine.memory_bytes = parse_size(*memory);
    options->engine.threads = options->threads;
    return commands::merge_golden(*options, context);
  };
}

}  // namespace loraproof::cli
