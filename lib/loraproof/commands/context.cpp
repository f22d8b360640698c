// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/context.h"

#include <utility>

#include "loraproof/commands/rules_yaml.h"
#include "loraproof/core/json.h"

namespace loraproof::commands {

report::RuleTable rule_table() { return report::RuleTable::parse(rules_yaml(), "rules.yaml"); }

report::Policy load_policy(const PolicyOptions& options, const Json& suite_limits,
                           const std::string& suite_file) {
  std::optional<std::filesystem::path> file = options.config;
  if (!file && std::filesystem::exists("loraproof.yaml")) file = "loraproof.yaml";
  return report::load_policy(rule_table(), {.suite_limits = suite_limits,
                                            .suite_file = suite_file,
                                            .file = std::move(file),
                                            .sets = options.sets});
}

std::string libtorch_version() { return LORAPROOF_LIBTORCH_VERSION; }

}  // namespace loraproof::commands
