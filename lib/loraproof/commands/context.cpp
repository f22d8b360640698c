// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/context.h"

#include "loraproof/commands/rules_yaml.h"
#include "loraproof/core/json.h"

namespace loraproof::commands {

report::RuleTable rule_table() { return report::RuleTable::parse(rules_yaml(), "rules.yaml"); }

report::Policy load_policy(const PolicyOptions& options, const Json& suite_limits,
                           const std::string& suite_file) {
  report::Policy policy(rule_table());
  policy.apply_checks(JsonObject(suite_limits, suite_file, "/limits"));
  if (options.config) {
    policy.apply_file(*options.config);
  } else if (std::filesystem::exists("loraproof.yaml")) {
    policy.apply_file("loraproof.yaml");
  }
  for (const std::string& assignment : options.sets) policy.apply_set(assignment);
  policy.expect_consistent();
  return policy;
}

std::string libtorch_version() { return LORAPROOF_LIBTORCH_VERSION; }

}  // namespace loraproof::commands
