// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace loraproof::commands {

/// The text of rules.yaml, embedded at build time.
[[nodiscard]] std::string_view rules_yaml();

}  // namespace loraproof::commands
