// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/quantcheck.h"

#include <memory>

#include "cli/cli.h"

namespace loraproof::cli {

RunCommand add_quantcheck(CLI::App& app) {
  struct Flags {
    commands::QuantcheckOptions options;
    std::string memory;
  };
  auto flags = std::make_shared<Flags>();
  commands::QuantcheckOptions& options = flags->options;
  app.add_option("--base", options.base,
                 "Base model in 16 bit: a Hugging Face folder, or org/name in the local cache")
      ->type_name("DIR")
      ->required();
  app.add_option("--adapter", options.adapter, "PEFT adapter")->type_name("[NAME=]DIR")->required();
  app.add_option("--golden", options.golden,
                 "Golden suite: a folder with suite.yaml, or prompts.jsonl")
      ->type_name("DIR")
      ->required();
  app.add_option("--scheme", options.schemes,
                 "Quantisation schemes to simulate, separated by commas (docs/quantisation.md)")
      ->type_name("NAME,...")
      ->delimiter(',');
  app.add_option(
         "--candidate", options.candidates,
         "A quantised base as it will be deployed, judged with the adapter beside it; repeatable")
      ->type_name("DIR|FILE.gguf")
      ->allow_extra_args(false);
  app.add_option("--candidate-merged", options.merged_candidates,
                 "The same with the adapter merged into it before; repeatable")
      ->type_name("DIR|FILE.gguf")
      ->allow_extra_args(false);
  add_choices(app, "--deployment", options.orders, commands::kDeploymentNames,
              "Orders to run: A quantised base + adapter, B merged, then quantised, C merged in "
              "16 bit, D merged into the quantised base")
      ->type_name("A,B,C,D");
  add_choices(app, "--gate", options.gated, commands::kDeploymentNames,
              "Those of them that decide the exit code")
      ->type_name("A,...");
  app.add_option("--trained-on", options.trained_on,
                 "Scheme that the base was in while the adapter was trained (QLoRA: nf4)")
      ->type_name("NAME");
  add_choice(app, "--adapter-dtype", options.adapter_dtype, commands::kAdapterTypeNames,
             "What the server casts the adapter's matrices to")
      ->type_name("TYPE");
  app.add_option("--keep", options.keep,
                 "Modules that stay in 16 bit beside the library's own, by the last part of their "
                 "names, separated by commas")
      ->type_name("MODULE,...")
      ->delimiter(',');
  app.add_option("--quantise", options.quantise,
                 "Linear layers that are quantised although the library leaves them, as lm_head")
      ->type_name("MODULE,...")
      ->delimiter(',');
  add_choice_with_default(
      app, "--blame", options.blame, commands::kBlameModeNames,
      "Which layers the damage comes from: off, fast (an estimate) or swap (exact)");
  app.add_flag("--suggest", options.suggest,
               "Find the modules to keep in 16 bit where a deployment is over its limit");
  app.add_option("--write", options.write,
                 "Write the one gated deployment as a model folder, its weights dequantised")
      ->type_name("DIR");
  add_engine_flags(app, options.engine, flags->memory);
  add_policy_flags(app, options.policy);
  return [flags](commands::Context& context) {
    if (!flags->memory.empty()) flags->options.engine.memory_bytes = parse_size(flags->memory);
    return commands::quantcheck(flags->options, context);
  };
}

}  // namespace loraproof::cli
