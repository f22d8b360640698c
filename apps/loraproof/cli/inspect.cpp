// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/inspect.h"

#include <memory>

#include "cli/cli.h"

namespace loraproof::cli {

RunCommand add_inspect(CLI::App& app) {
  auto options = std::make_shared<commands::InspectOptions>();
  app.add_option("adapter", options->adapter,
                 "PEFT adapter: a folder, or org/name in the local cache")
      ->type_name("ADAPTER")
      ->required();
  app.add_option("--base", options->base, "Base model to check it against")->type_name("DIR");
  app.add_option("--golden", options->golden,
                 "Golden suite whose recorded reference base and adapter are compared with")
      ->type_name("DIR");
  app.add_option("--reference", options->reference,
                 "Name of the recorded reference (default: the adapter's, or the only one)")
      ->type_name("NAME");
  add_policy_flags(app, options->policy);
  return [options](commands::Context& context) { return commands::inspect(*options, context); };
}

}  // namespace loraproof::cli
